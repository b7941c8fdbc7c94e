// The steps from nothing to a tenant database and back. Each finds out what is already done, so that a run may be
// killed anywhere and started again from the first step, by this process or the next.
//
// A new database is built under the name `leasehold_new_<database id>`, which only its maker can know, and gets its
// final name and its mark in one transaction as the last step. So a crash between CREATE DATABASE and COMMENT leaves
// nothing that could be taken for foreign, and what bears the final name without the mark is foreign indeed. (Spares
// will be the same databases, waiting before that last step.)
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "common/identity/identity.h"
#include "common/postgres/postgres.h"
#include "services/provisioner/migrations/folder.h"
#include "services/provisioner/steps/instance.h"
#include "services/provisioner/steps/observe.h"
#include "services/provisioner/steps/roles.h"

namespace leasehold::provisioner {

// One run of steps for one tenant. Blocks. One thread.
class TenantDatabase {
 public:
  struct Options {
    TenantId tenant;
    std::string database_id{};  // 16 hex digits, recorded durably before the first run
    // What the last complete run left, nullopt if there was none: spares looking inside an unchanged database.
    std::optional<int> schema_version{};
    bool renew_secrets = false;  // the role key has changed since
  };

  // `central`: a connection of the provisioner's login to the central database. All references outlive this.
  TenantDatabase(const Instance& instance, const Migrations& migrations, postgres::Connection& central,
                 Options options);
  ~TenantDatabase();

  struct Step {
    std::string_view name;
    absl::Status (TenantDatabase::*run)();
  };
  // Database and roles exist, are migrated, and the roles may log in.
  static std::span<const Step> Present();
  // They exist, and the roles may not log in. A database that was in place before is migrated when it opens again.
  static std::span<const Step> Closed();
  // What there is of the roles may not log in; nothing is made or dropped.
  static std::span<const Step> Shut();
  // Neither exists. The only steps that destroy.
  static std::span<const Step> Absent();

  // In order, until one fails; `go_on` is asked before each. At most one run for a tenant on an instance at a time:
  // others wait; a run whose connection was lost meanwhile, and with it its turn, fails. Errors are safe to report:
  // NAME_TAKEN, MIGRATION_FAILED, INSUFFICIENT_PRIVILEGE, INSTANCE_UNAVAILABLE, INTERNAL.
  absl::Status Run(std::span<const Step> steps, const std::function<absl::Status()>& go_on);

  // After a run that looked inside or was told.
  std::optional<int> schema_version() const { return options_.schema_version; }

 private:
  absl::Status MakeRoles();
  absl::Status CreateDatabase();
  absl::Status SecureDatabase();
  absl::Status OpenRoles();
  absl::Status OpenRolesToBuild();
  absl::Status GrantInside();
  absl::Status MigrateInside();
  absl::Status MigrateToBuild();
  absl::Status MoveIntoPlace();
  absl::Status CloseRoles();
  absl::Status DropDatabases();
  absl::Status DropRoles();

  // Where the database is now: its final name, or its staging name. NAME_TAKEN if the final name is foreign.
  absl::StatusOr<std::string> Locate(bool& in_place);
  absl::Status Mark(postgres::Transaction& tx);
  absl::Status DropInPlace();
  absl::Status DropStaging();
  // Not OK if the connection is no longer the one that took the tenant's lock: somebody else may be at work on it.
  absl::Status CheckLock(postgres::Transaction& tx);
  absl::Status SetLogins(bool may_log_in);
  // The provisioner's connection into the database `name`.
  postgres::Connection& Inside(const std::string& name);
  absl::Status LeaveInside();

  const Instance& instance_;
  const Migrations& migrations_;
  postgres::Connection& central_;
  Options options_;
  std::function<absl::Status()> go_on_;
  const std::string database_;
  const std::string staging_;
  const RoleSpec owner_;
  const RoleSpec read_only_;
  std::unique_ptr<postgres::Connection> inside_;
};

}  // namespace leasehold::provisioner
