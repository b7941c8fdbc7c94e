#include "services/cli/change.h"

#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/config/config.h"
#include "common/status/error.h"
#include "services/cli/json.h"
#include "services/cli/relative_time.h"
#include "services/cli/show.h"

namespace leasehold::cli {
namespace {

absl::StatusOr<v1::Tenant> GetTenant(GatewayClient& client, const v1::GetTenantRequest& request) {
  return client.Call(client.tenants(), &v1::TenantService::StubInterface::GetTenant, request);
}

// A tenant that is dropped so soon after its deletion is not kept at all.
constexpr absl::Duration kNotKept = absl::Seconds(1);
constexpr absl::Duration kLookAgain = absl::Milliseconds(50);

// What came after the deletion `ended`; if nothing has and the tenant is not kept, that is waited for.
absl::StatusOr<v1::Operation> Successor(GatewayClient& client, const v1::Operation& ended, bool kept,
                                        absl::Time deadline) {
  v1::GetOperationRequest request;
  request.set_id(absl::StrCat(ended.tenant(), ".", ended.generation() + 1));
  while (true) {
    absl::StatusOr<v1::Operation> next =
        client.Call(client.operations(), &v1::OperationService::StubInterface::GetOperation, request);
    const bool still_to_come = ReasonOf(next.status()) == v1::REASON_OPERATION_NOT_FOUND && !kept;
    if (!still_to_come || absl::Now() > deadline) return next;
    absl::SleepFor(kLookAgain);
  }
}

// The end of the work that a change began. Nothing to keep means that dropping follows closing, or overtakes it: then
// that is waited for.
absl::StatusOr<v1::Operation> AwaitChange(const Command& command, GatewayClient& client, const v1::TenantChange& change,
                                          absl::Duration timeout) {
  Progress progress(command.terminal, command.json);
  const absl::Time deadline = absl::Now() + timeout;
  v1::Operation ended = change.operation();
  if (ended.state() == v1::OPERATION_STATE_RUNNING) {
    LH_ASSIGN_OR_RETURN(ended, WaitForOperation(client, ended.id(), timeout, progress));
  }
  const v1::Tenant& tenant = change.tenant();
  const bool kept = ToTime(tenant.purge_time()) - ToTime(tenant.update_time()) > kNotKept;
  if (ended.kind() == v1::OPERATION_KIND_DELETE && (!kept || ended.state() == v1::OPERATION_STATE_ABORTED)) {
    const absl::StatusOr<v1::Operation> next = Successor(client, ended, kept, deadline);
    if (next.ok() && next->kind() == v1::OPERATION_KIND_PURGE) {
      LH_ASSIGN_OR_RETURN(ended, WaitForOperation(client, next->id(), deadline - absl::Now(), progress));
    }
  }
  LH_RETURN_IF_ERROR(Verdict(ended));
  return ended;
}

}  // namespace

void ChangeFlags::AddTo(CLI::App& app) {
  WaitFlags::AddTo(app);
  app.add_option("--request-id", request_id_, "A name of yours for this request: said again, it is done once");
}

std::string ChangeFlags::RequestId() const { return request_id_.empty() ? NewRequestId() : request_id_; }

bool ChangedNothing(const v1::Operation& operation, v1::OperationKind asked) {
  return operation.kind() != asked ||
         (asked != v1::OPERATION_KIND_UPDATE && operation.state() != v1::OPERATION_STATE_RUNNING);
}

absl::StatusOr<int> FinishChange(const Command& command, GatewayClient& client, v1::TenantChange change,
                                 v1::OperationKind asked, const WaitFlags& flags) {
  const bool nothing = ChangedNothing(change.operation(), asked);
  if (flags.wait && !change.operation().id().empty()) {
    LH_ASSIGN_OR_RETURN(*change.mutable_operation(), AwaitChange(command, client, change, flags.timeout));
    v1::GetTenantRequest request;
    request.set_id(change.tenant().id());
    absl::StatusOr<v1::Tenant> tenant = GetTenant(client, request);
    if (tenant.ok()) {
      *change.mutable_tenant() = *std::move(tenant);
    } else if (change.operation().kind() == v1::OPERATION_KIND_PURGE && !command.json) {
      std::cout << "tenant " << change.tenant().id() << " is gone\n";
      return kDone;
    }
  }
  if (command.json) {
    std::cout << ToJson(change);
    return kDone;
  }
  const v1::Tenant& tenant = change.tenant();
  if (nothing) std::cout << "nothing to " << Word(asked) << ": ";
  std::cout << "tenant " << tenant.id() << " is " << Word(tenant.state());
  if (!flags.wait && change.operation().state() == v1::OPERATION_STATE_RUNNING) {
    std::cout << " (operation " << change.operation().id() << ")";
  }
  if (tenant.has_purge_time())
    std::cout << "; its databases are dropped " << Relative(tenant.purge_time(), absl::Now());
  std::cout << '\n';
  return kDone;
}

v1::TenantState ParseTenantState(const std::string& word) {
  const v1::TenantState state = TenantStateOf(word);
  if (state == v1::TENANT_STATE_UNSPECIFIED) {
    UsageError(
        absl::StrCat("the state is '", Printable(word), "'; allowed: ", absl::StrJoin(TenantStateWords(), ", ")));
  }
  return state;
}

}  // namespace leasehold::cli
