// Makes the history of a database agree with the files where somebody has said how: one named file at a time.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/postgres/postgres.h"
#include "services/provisioner/migrations/history.h"
#include "services/provisioner/rollout/findings.h"

namespace leasehold::provisioner {

struct RepairStep {
  enum class What { kNothing, kSet, kForget, kUnknown };  // kUnknown: neither the folder nor the history has it
  What what = What::kNothing;
  int version = 0;
  std::string file{};
  std::string checksum{};      // kSet
  std::string was_checksum{};  // what the history must still say; empty: nothing
  Findings findings{};         // the mismatch as it is, or that there is none
};

// What spec.repair makes of the mismatch of spec.repair_file; nothing if the history and the file agree.
// MIGRATION_FAILED if that would hide more than it settles: forgetting what the folder still has and the database holds
// is refused unless it was interrupted, and so is accepting a file that is not there.
absl::StatusOr<RepairStep> PlanRepair(const History& history, const Migrations& files, const v1::MigrationSpec& spec);

// `keeper`: the provisioner's login inside the database.
absl::Status ApplyRepair(postgres::Connection& keeper, const RepairStep& step, const std::string& run);

}  // namespace leasehold::provisioner
