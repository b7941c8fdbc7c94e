// One database's turn in a run.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "common/postgres/postgres.h"
#include "leasehold/v1/migration.pb.h"
#include "services/provisioner/rollout/findings.h"
#include "services/provisioner/rollout/fleet.h"
#include "services/provisioner/rollout/reference.h"
#include "services/provisioner/rollout/run_store.h"
#include "services/provisioner/steps/instance.h"
#include "services/provisioner/steps/migrate_database.h"

namespace leasehold::provisioner {

struct TaskContext {
  const Instance& instance;
  const FleetMigrations& files;
  const v1::MigrationSpec& spec;
  std::string run{};               // what is recorded with each migration
  std::string undo{};              // UNDO: the same of the run to take back
  const References* references{};  // VERIFY
  bool only_looks = false;         // UNDO: finds what would be in the way
  // As MigrateOptions::go_on.
  std::function<absl::Status()> go_on;
};

struct Turn {
  const FleetDatabase* database = nullptr;
  bool is_last = false;  // waits for whoever is at work on the tenant, as a statement does for a lock; else is put off
};

// Does what the run's kind says to the database, under the tenant's lock (steps/tenant_lock.h), unless the tenant was
// closed, removed or replaced meanwhile, or is about to be filled anew. `central`: for the lock, by one thread at a
// time. Blocks. An error is the run's (go_on said no, the central database is gone), and the task is as if it had not
// begun; what goes wrong in the database stands in the note. PENDING: somebody else is at work on the tenant.
absl::StatusOr<TaskNote> RunTask(const TaskContext& context, const Turn& turn, postgres::Connection& central);

}  // namespace leasehold::provisioner
