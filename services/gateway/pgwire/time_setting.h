// Values of parameters that are times.
#pragma once

#include <optional>
#include <string_view>

#include "absl/time/time.h"

namespace leasehold::gateway::pgwire {

// As PostgreSQL reads a parameter whose unit is the millisecond: "5min", "1.5 s", "300"; 0 to 2147483647 ms. nullopt:
// something else, hexadecimal and octal numbers among it, which PostgreSQL would take.
std::optional<absl::Duration> ParseTimeSetting(std::string_view text);

}  // namespace leasehold::gateway::pgwire
