// The migrations room brought to a database of an instance: logs in as its owner, and prepares its history if an older
// Leasehold, or another role key, has left it otherwise.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "services/provisioner/migrations/runner.h"
#include "services/provisioner/steps/instance.h"

namespace leasehold::provisioner {

struct MigrationTarget {
  std::string database{};
  std::string owner{};    // the role
  std::string id{};       // the database id; RoleKey::kCentralId for the central one
  std::string role_id{};  // which the role's password is derived from; empty: `id`
};

using MigrationWork = std::function<absl::Status(postgres::Connection& owner, const Secret& secret)>;

// Runs `work`; if `result` then says that the history is unprepared, prepares it and runs `work` again. Blocks.
absl::Status WithOwner(const Instance& instance, const MigrationTarget& target, MigrateResult& result,
                       const MigrationWork& work);

// Migrate() in the target; result.version is set when it returns OK.
absl::Status MigrateDatabase(const Instance& instance, const MigrationTarget& target, const Migrations& migrations,
                             const MigrateOptions& options, MigrateResult& result);

}  // namespace leasehold::provisioner
