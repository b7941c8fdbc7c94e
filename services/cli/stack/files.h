// Files that others read while we write them.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace leasehold::stack {

// A reader sees the old content or the new one, never a part. `mode` counts from the first byte on.
absl::Status WriteFileAtomically(const std::string& path, std::string_view content, mode_t mode);
// The same of a file that is there: it keeps its owner, its group and its mode.
absl::Status ReplaceFileAtomically(const std::string& path, std::string_view content);

}  // namespace leasehold::stack
