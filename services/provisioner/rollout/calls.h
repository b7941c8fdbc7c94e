// What the gateway asks of a service's runs, answered: one MigrationCall, one MigrationAnswer.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "leasehold/v1/migration.pb.h"
#include "services/provisioner/rollout/rollout.h"

namespace leasehold::provisioner {

class MigrationCalls {
 public:
  explicit MigrationCalls(Rollout& rollout) : rollout_(rollout) {}

  // Any thread; blocks on one or two short transactions. `call`: bytes from a stranger, too: what is no MigrationCall
  // is answered with INVALID_FIELD.
  std::string Answer(std::string_view call);

  absl::StatusOr<v1::MigrationStatus> Status(const v1::GetMigrationStatusRequest& request);
  absl::StatusOr<v1::MigrationPlan> Plan(const v1::PlanMigrationsRequest& request);
  absl::StatusOr<v1::MigrationRun> Start(const v1::StartMigrationRunRequest& request);
  // `call`: as RunStore's.
  absl::StatusOr<v1::MigrationRun> Cancel(const std::string& id, const std::string& call = "");
  absl::StatusOr<v1::MigrationRun> Resume(const v1::ResumeMigrationRunRequest& request, const std::string& call = "");
  absl::StatusOr<v1::MigrationRun> Get(const std::string& id);

 private:
  absl::Status Fill(const v1::MigrationCall& call, v1::MigrationAnswer& answer);

  Rollout& rollout_;
};

}  // namespace leasehold::provisioner
