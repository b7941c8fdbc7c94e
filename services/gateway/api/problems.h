// What is not well, of what GetStatus has gathered.
#pragma once

#include "leasehold/v1/status.pb.h"

namespace leasehold::gateway {

// Replaces `status.problems`. The registry has answered if any service has `health`.
void FindProblems(v1::GetStatusResponse& status);

}  // namespace leasehold::gateway
