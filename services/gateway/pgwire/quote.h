// SQL that the gateway itself writes.
#pragma once

#include <string>
#include <string_view>

namespace leasehold::gateway::pgwire {

// `text` as a string constant, whatever standard_conforming_strings says. Without NUL, and UTF-8: in encodings whose
// characters may end in a backslash's byte it would not do.
std::string Literal(std::string_view text);

// A parameter's name, which may be qualified: "a"."b".
std::string QuotedParameter(std::string_view name);

}  // namespace leasehold::gateway::pgwire
