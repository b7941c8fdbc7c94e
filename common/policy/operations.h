// What can be allowed, by the names that policy files use. Each RPC is one of them; services/gateway/gate/methods.cc
// has the table, and a test that it has every RPC.
#pragma once

#include <span>
#include <string_view>

namespace leasehold {

// In alphabetical order.
std::span<const std::string_view> Operations();

bool IsOperation(std::string_view name);

}  // namespace leasehold
