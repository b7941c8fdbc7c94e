// Files that others read while we write them.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace leasehold::stack {

// A reader sees the old content or the new one, never a part. `mode` counts from the first byte on.
absl::Status WriteFileAtomically(const std::string& path, std::string_view content, mode_t mode);

}  // namespace leasehold::stack
