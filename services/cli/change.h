// What the verbs that change a tenant have in common.
#pragma once

#include "absl/status/statusor.h"
#include "leasehold/v1/tenant.pb.h"
#include "services/cli/command.h"
#include "services/cli/gateway_client.h"
#include "services/cli/waiting.h"

namespace leasehold::cli {

// What every such call ends with: wait if asked to, then show the tenant as it is now. Returns the exit code.
absl::StatusOr<int> FinishChange(const Command& command, GatewayClient& client, v1::TenantChange change,
                                 const WaitFlags& flags);

// A state from the command line; a usage error for anything else.
v1::TenantState ParseTenantState(const std::string& word);

}  // namespace leasehold::cli
