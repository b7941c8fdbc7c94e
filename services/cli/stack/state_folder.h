// The folder of a stack: data, secrets, logs. It may be anywhere the user says, so what others keep there is not
// touched.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace leasehold::stack {

// OK if `path` is a stack's already (it holds secrets/ or stack.json), or holds nothing that has a name of ours, or is
// not there. FAILED_PRECONDITION names what is in the way. To be asked before anything is written there, and so also
// before it is locked.
absl::Status CheckStateFolder(const std::string& path);

// What former runs of a stack have left, but for its secrets. FAILED_PRECONDITION if something cannot be removed.
absl::Status RemoveData(const std::string& path);

}  // namespace leasehold::stack
