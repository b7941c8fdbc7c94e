// The steps from nothing to a tenant database and back. Each finds out what is already done, so that a run may be
// killed anywhere and started again from the first step, by this process or the next.
//
// A new database is built under the name `leasehold_new_<database id>`, which only its maker can know, and gets its
// final name and its mark in one transaction as the last step. So a crash between CREATE DATABASE and COMMENT leaves
// nothing that could be taken for foreign, and what bears the final name without the mark is foreign indeed. A spare is
// the same database, whose roles have such names too and cannot log in, waiting for that last step (spares/).
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
#include "services/provisioner/steps/tenant_lock.h"

namespace leasehold::provisioner {

// One run of steps for one tenant, or one spare. Blocks. One thread.
class TenantDatabase {
 public:
  struct Options {
    std::optional<TenantId> tenant{};  // nullopt: a spare, which is nobody's yet
    std::string database_id{};         // 16 hex digits, recorded durably before the first run
    // What the last complete run left, nullopt if there was none: spares looking inside an unchanged database.
    std::optional<int> schema_version{};
    bool renew_secrets = false;  // the role key has changed since
    // A database that is in place and has a version keeps it: runs over the fleet bring it further (rollout/).
    bool keep_version = false;
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
  // A spare is finished: migrated, marked, nobody connected to it or able to log in.
  static std::span<const Step> Spare();
  // It does not exist. For what is not to be claimed any more.
  static std::span<const Step> NoSpare();

  // In order, until one fails; `go_on` is asked before each. At most one run for a tenant on an instance at a time: if
  // another has it, nothing happens and `elsewhere` is true. A run whose connection was lost meanwhile, and with it its
  // turn, fails. Errors are safe to report: NAME_TAKEN, MIGRATION_FAILED, INSUFFICIENT_PRIVILEGE, INSTANCE_UNAVAILABLE,
  // INTERNAL; SUPERSEDED if the files have changed under what was begun, which is gone then: run it again.
  absl::Status Run(std::span<const Step> steps, const std::function<absl::Status()>& go_on);

  bool elsewhere() const { return elsewhere_; }
  // The run made a new, empty database.
  bool created() const { return created_; }

  // After a run that looked inside or was told.
  std::optional<int> schema_version() const { return options_.schema_version; }
  // DigestOf(History); empty if it did not look inside.
  const std::string& history_digest() const { return history_digest_; }
  // The file that the run failed at, by what stands in it: it would fail again. Empty: none, or by what may pass.
  const std::string& failing_file() const { return failing_file_; }

 private:
  absl::Status MakeRoles();
  absl::Status CreateDatabase();
  absl::Status SecureDatabase();
  absl::Status OpenRoles();
  absl::Status OpenRolesToBuild();
  absl::Status GrantInside();
  absl::Status MigrateInside();
  absl::Status BeginAnew();
  absl::Status MigrateToBuild();
  absl::Status MoveIntoPlace();
  absl::Status CloseRoles();
  absl::Status FinishSpare();
  absl::Status DropDatabases();
  absl::Status DropRoles();

  // Where the database is now: its final name, or its staging name (a spare always). NAME_TAKEN if the final name is
  // foreign.
  absl::StatusOr<std::string> Locate(bool& in_place);
  absl::Status Mark(postgres::Transaction& tx);
  absl::Status DropInPlace();
  absl::Status DropStaging();
  // Somebody may have taken privileges away, with a role or by hand.
  absl::Status RegrantInside();
  // NAME_TAKEN if what bears the staging name is foreign.
  absl::Status CheckStaging(const ObservedDatabase& present) const;
  // `lock_timeout`: as PostgreSQL's setting; empty: the login's.
  absl::Status SetLogins(bool may_log_in, std::string_view lock_timeout = "");
  // The provisioner's connection into the database `name`.
  postgres::Connection& Inside(const std::string& name);
  absl::Status LeaveInside();

  const Instance& instance_;
  const Migrations& migrations_;
  postgres::Connection& central_;
  Options options_;
  std::string history_digest_{};
  std::string failing_file_{};
  std::function<absl::Status()> go_on_;
  const std::string database_;
  const std::string staging_;
  const RoleSpec owner_;
  const RoleSpec read_only_;
  TenantLock lock_;
  bool elsewhere_ = false;
  bool created_ = false;
  bool roles_were_shut_ = false;  // or were not there, before this run
  std::unique_ptr<postgres::Connection> inside_;
};

}  // namespace leasehold::provisioner
