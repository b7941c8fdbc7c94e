// absl::Status at the SQL border.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace leasehold {

// The five characters that clients of the SQL endpoint see for a Status, by its reason: bad credentials 28P01, expired
// or revoked lease 28000, switch not allowed 42501, in transaction 25001, unknown tenant or service 3D000, not ready
// 57P03, no server connection in time 53300, instance down 08006, shutting down 57P01, bad value 22023, internal XX000.
// The rest of the table is in reasons.cc.
std::string_view SqlStateOf(const absl::Status& status);

}  // namespace leasehold
