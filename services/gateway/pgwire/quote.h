// SQL that the gateway itself writes. Whatever is called in it is qualified: it runs under the search_path of whoever
// has the server, or had it before.
#pragma once

#include <string>
#include <string_view>

namespace leasehold::gateway::pgwire {

// `text` as a string constant, whatever standard_conforming_strings says. Without NUL, and UTF-8: in encodings whose
// characters may end in a backslash's byte it would not do.
std::string Literal(std::string_view text);

// The same in ASCII alone, so that it means the same under any client_encoding; `text` is UTF-8.
std::string NeutralLiteral(std::string_view text);

// A parameter's name, which may be qualified: "a"."b".
std::string QuotedParameter(std::string_view name);

}  // namespace leasehold::gateway::pgwire
