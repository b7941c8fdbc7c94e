// What the verbs that change a tenant have in common.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "leasehold/v1/tenant.pb.h"
#include "services/cli/command.h"
#include "services/cli/gateway_client.h"
#include "services/cli/waiting.h"

namespace leasehold::cli {

// Of the verbs that ask for something that goes on after the answer.
struct ChangeFlags : WaitFlags {
  // --request-id, --wait and --timeout.
  void AddTo(CLI::App& app);
  // As given, else a new one: so that a call that gRPC repeats is one request.
  std::string RequestId() const;

 private:
  std::string request_id_;
};

// Whether the answer to a call for `asked` says that it was so already: then it has the operation that last worked on
// the tenant, which is another one's or has ended. Of those that a call begins, only an update's ends with the answer.
bool ChangedNothing(const v1::Operation& operation, v1::OperationKind asked);

// What every call for a change of the kind `asked` ends with: wait if asked to, then show the tenant as it is now.
// Returns the exit code.
absl::StatusOr<int> FinishChange(const Command& command, GatewayClient& client, v1::TenantChange change,
                                 v1::OperationKind asked, const WaitFlags& flags);

// A state from the command line; a usage error for anything else.
v1::TenantState ParseTenantState(const std::string& word);

}  // namespace leasehold::cli
