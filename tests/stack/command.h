// The command line as a child process.
#pragma once

#include <string>
#include <vector>

#include "tests/stack/stack.h"

namespace leasehold::testing {

// `leasehold ARGUMENTS…` with "K=V" added to the environment; what it writes goes through files in `folder`. Aborts the
// test program if it does not end.
Stack::Output RunLeasehold(const std::string& folder, std::vector<std::string> environment,
                           const std::vector<std::string>& arguments);

}  // namespace leasehold::testing
