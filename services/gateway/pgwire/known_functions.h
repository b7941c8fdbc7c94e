// PostgreSQL's own functions and keywords that stand before a parenthesis and leave nothing behind in a session.
#pragma once

#include <string_view>

namespace leasehold::gateway::pgwire {

// `name` in lower case, without a schema.
bool IsKnownFunction(std::string_view name);

}  // namespace leasehold::gateway::pgwire
