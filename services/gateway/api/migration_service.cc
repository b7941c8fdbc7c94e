#include "services/gateway/api/migration_service.h"

#include <algorithm>
#include <format>
#include <utility>
#include <vector>

#include "common/status/error.h"
#include "services/gateway/api/migration_watch.h"
#include "services/gateway/api/tenant_request.h"
#include "services/gateway/api/unary.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {
namespace {

constexpr int kPageSize = 1000;

bool Has(const v1::Tenant& tenant, const google::protobuf::Map<std::string, std::string>& settings) {
  return std::ranges::all_of(settings, [&tenant](const auto& wanted) {
    const auto found = tenant.settings().find(wanted.first);
    return found != tenant.settings().end() && found->second == wanted.second;
  });
}

// The call about the run `id`, and the run that it answers with.
absl::Status AskForRun(MigrationAsker& asker, const std::string& id, const v1::MigrationCall& call,
                       v1::MigrationRun* response) {
  LH_ASSIGN_OR_RETURN(const std::string service, MigrationAsker::ServiceOf(id));
  LH_ASSIGN_OR_RETURN(v1::MigrationAnswer answer, asker.Ask(service, call));
  *response = std::move(*answer.mutable_run());
  return absl::OkStatus();
}

}  // namespace

absl::Status MigrationService::ResolveSelection(std::string_view field, v1::MigrationSelection& selection) {
  selection.clear_setting_tenants();
  if (selection.settings().empty()) return absl::OkStatus();
  std::string after;
  while (true) {
    LH_ASSIGN_OR_RETURN(const std::vector<v1::Tenant> tenants, registry_.store().List(after, kPageSize, {}));
    for (const v1::Tenant& tenant : tenants) {
      if (Has(tenant, selection.settings())) selection.add_setting_tenants(tenant.id());
    }
    if (tenants.size() < kPageSize) break;
    after = tenants.back().id();
  }
  if (selection.setting_tenants_size() == 0) {
    const auto& [key, value] = *selection.settings().begin();
    return InvalidField(std::format("{}.settings", field), std::format("{}={}", key, value),
                        "settings that at least one tenant has");
  }
  return absl::OkStatus();
}

absl::Status MigrationService::Resolve(v1::MigrationSpec& spec) {
  LH_RETURN_IF_ERROR(ResolveSelection("spec.selection", *spec.mutable_selection()));
  return ResolveSelection("spec.canary", *spec.mutable_canary());
}

grpc::ServerUnaryReactor* MigrationService::GetMigrationStatus(grpc::CallbackServerContext* context,
                                                               const v1::GetMigrationStatusRequest* request,
                                                               v1::MigrationStatus* response) {
  return AnswerOn(asker_.executor(), context, [this, request, response]() -> absl::Status {
    v1::MigrationCall call;
    *call.mutable_status() = *request;
    LH_ASSIGN_OR_RETURN(v1::MigrationAnswer answer, asker_.Ask(request->service(), call));
    *response = std::move(*answer.mutable_status());
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* MigrationService::PlanMigrations(grpc::CallbackServerContext* context,
                                                           const v1::PlanMigrationsRequest* request,
                                                           v1::MigrationPlan* response) {
  return AnswerOn(asker_.executor(), context, [this, request, response]() -> absl::Status {
    v1::MigrationCall call;
    *call.mutable_plan() = *request;
    LH_RETURN_IF_ERROR(Resolve(*call.mutable_plan()->mutable_spec()));
    LH_ASSIGN_OR_RETURN(v1::MigrationAnswer answer, asker_.Ask(request->spec().service(), call));
    *response = std::move(*answer.mutable_plan());
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* MigrationService::StartMigrationRun(grpc::CallbackServerContext* context,
                                                              const v1::StartMigrationRunRequest* request,
                                                              v1::MigrationRun* response) {
  return AnswerOn(asker_.executor(), context, [this, request, response]() -> absl::Status {
    LH_RETURN_IF_ERROR(CheckRequestId("StartMigrationRun", *request).status());
    v1::MigrationCall call;
    *call.mutable_start() = *request;
    LH_RETURN_IF_ERROR(Resolve(*call.mutable_start()->mutable_spec()));
    LH_ASSIGN_OR_RETURN(v1::MigrationAnswer answer, asker_.Ask(request->spec().service(), call));
    *response = std::move(*answer.mutable_run());
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* MigrationService::GetMigrationRun(grpc::CallbackServerContext* context,
                                                            const v1::GetMigrationRunRequest* request,
                                                            v1::MigrationRun* response) {
  return AnswerOn(asker_.executor(), context, [this, request, response] {
    v1::MigrationCall call;
    *call.mutable_get() = *request;
    return AskForRun(asker_, request->id(), call, response);
  });
}

grpc::ServerUnaryReactor* MigrationService::ListMigrationRuns(grpc::CallbackServerContext* context,
                                                              const v1::ListMigrationRunsRequest* request,
                                                              v1::ListMigrationRunsResponse* response) {
  return AnswerOn(asker_.executor(), context, [this, request, response]() -> absl::Status {
    v1::MigrationCall call;
    *call.mutable_list() = *request;
    LH_ASSIGN_OR_RETURN(v1::MigrationAnswer answer, asker_.Ask(request->service(), call));
    *response = std::move(*answer.mutable_runs());
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* MigrationService::ListMigrationTasks(grpc::CallbackServerContext* context,
                                                               const v1::ListMigrationTasksRequest* request,
                                                               v1::ListMigrationTasksResponse* response) {
  return AnswerOn(asker_.executor(), context, [this, request, response]() -> absl::Status {
    v1::MigrationCall call;
    *call.mutable_tasks() = *request;
    LH_ASSIGN_OR_RETURN(const std::string service, MigrationAsker::ServiceOf(request->id()));
    LH_ASSIGN_OR_RETURN(v1::MigrationAnswer answer, asker_.Ask(service, call));
    *response = std::move(*answer.mutable_tasks());
    return absl::OkStatus();
  });
}

grpc::ServerWriteReactor<v1::MigrationEvent>* MigrationService::WatchMigrationRun(
    grpc::CallbackServerContext* /*context*/, const v1::GetMigrationRunRequest* request) {
  return MigrationWatch::Start(asker_, timer_, *request);
}

grpc::ServerUnaryReactor* MigrationService::CancelMigrationRun(grpc::CallbackServerContext* context,
                                                               const v1::GetMigrationRunRequest* request,
                                                               v1::MigrationRun* response) {
  return AnswerOn(asker_.executor(), context, [this, request, response] {
    v1::MigrationCall call;
    *call.mutable_cancel() = *request;
    return AskForRun(asker_, request->id(), call, response);
  });
}

grpc::ServerUnaryReactor* MigrationService::ResumeMigrationRun(grpc::CallbackServerContext* context,
                                                               const v1::ResumeMigrationRunRequest* request,
                                                               v1::MigrationRun* response) {
  return AnswerOn(asker_.executor(), context, [this, request, response] {
    v1::MigrationCall call;
    *call.mutable_resume() = *request;
    return AskForRun(asker_, request->id(), call, response);
  });
}

}  // namespace leasehold::gateway
