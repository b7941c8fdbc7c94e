// leasehold.v1.MigrationService: each call is passed on to a provisioner of the service, over NATS; what only the
// registry knows (tenants' settings) is put into it before.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/executor/executor.h"
#include "common/jetstream/jetstream.h"
#include "leasehold/v1/migration.grpc.pb.h"
#include "services/gateway/api/migration_asker.h"
#include "services/gateway/lease/timer.h"
#include "services/gateway/registry/registry.h"

namespace leasehold::gateway {

// Nothing blocks: calls run on an executor of their own. What is given outlives it.
class MigrationService : public v1::MigrationService::CallbackService {
 public:
  MigrationService(MigrationAsker& asker, Registry& registry, Timer& timer)
      : asker_(asker), registry_(registry), timer_(timer) {}

  grpc::ServerUnaryReactor* GetMigrationStatus(grpc::CallbackServerContext* context,
                                               const v1::GetMigrationStatusRequest* request,
                                               v1::MigrationStatus* response) override;
  grpc::ServerUnaryReactor* PlanMigrations(grpc::CallbackServerContext* context,
                                           const v1::PlanMigrationsRequest* request,
                                           v1::MigrationPlan* response) override;
  grpc::ServerUnaryReactor* StartMigrationRun(grpc::CallbackServerContext* context,
                                              const v1::StartMigrationRunRequest* request,
                                              v1::MigrationRun* response) override;
  grpc::ServerUnaryReactor* GetMigrationRun(grpc::CallbackServerContext* context,
                                            const v1::GetMigrationRunRequest* request,
                                            v1::MigrationRun* response) override;
  grpc::ServerUnaryReactor* ListMigrationRuns(grpc::CallbackServerContext* context,
                                              const v1::ListMigrationRunsRequest* request,
                                              v1::ListMigrationRunsResponse* response) override;
  grpc::ServerUnaryReactor* ListMigrationTasks(grpc::CallbackServerContext* context,
                                               const v1::ListMigrationTasksRequest* request,
                                               v1::ListMigrationTasksResponse* response) override;
  grpc::ServerWriteReactor<v1::MigrationEvent>* WatchMigrationRun(grpc::CallbackServerContext* context,
                                                                  const v1::GetMigrationRunRequest* request) override;
  grpc::ServerUnaryReactor* CancelMigrationRun(grpc::CallbackServerContext* context,
                                               const v1::GetMigrationRunRequest* request,
                                               v1::MigrationRun* response) override;
  grpc::ServerUnaryReactor* ResumeMigrationRun(grpc::CallbackServerContext* context,
                                               const v1::ResumeMigrationRunRequest* request,
                                               v1::MigrationRun* response) override;

 private:
  // The tenants that `spec` names by their settings, by their ids.
  absl::Status Resolve(v1::MigrationSpec& spec);
  absl::Status ResolveSelection(std::string_view field, v1::MigrationSelection& selection);

  MigrationAsker& asker_;
  Registry& registry_;
  Timer& timer_;
};

}  // namespace leasehold::gateway
