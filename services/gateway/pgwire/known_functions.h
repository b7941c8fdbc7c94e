// PostgreSQL's own functions, and keywords that stand before a parenthesis, which leave nothing behind in a session.
// A function of a user's that has the name of one of PostgreSQL's is taken for that one; keywords that may well be a
// function's name are not among them.
#pragma once

#include <string_view>

namespace leasehold::gateway::pgwire {

// `name` in lower case, without a schema.
bool IsKnownFunction(std::string_view name);

}  // namespace leasehold::gateway::pgwire
