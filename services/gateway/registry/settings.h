// A tenant's settings: free for the caller within these limits. They travel in every event of the tenant, hence the
// limit in all: JSON may make six bytes of one, and an event holds 256 KiB.
#pragma once

#include <google/protobuf/map.h>

#include <cstddef>
#include <string>

#include "absl/status/status.h"

namespace leasehold::gateway {

using Settings = google::protobuf::Map<std::string, std::string>;

inline constexpr size_t kMaxSettings = 64;
inline constexpr size_t kMaxSettingKeyBytes = 64;
inline constexpr size_t kMaxSettingValueBytes = 4 * 1024;
inline constexpr size_t kMaxSettingsBytes = 32 * 1024;

// INVALID_FIELD "settings" or "settings[<key>]". The value is not named: it may be a caller's secret.
absl::Status CheckSettings(const Settings& settings);

}  // namespace leasehold::gateway
