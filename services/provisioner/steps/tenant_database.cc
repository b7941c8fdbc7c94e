#include "services/provisioner/steps/tenant_database.h"

#include <format>

#include "absl/cleanup/cleanup.h"
#include "absl/time/clock.h"
#include "common/status/error.h"
#include "services/provisioner/migrations/runner.h"
#include "services/provisioner/steps/drop.h"

namespace leasehold::provisioner {
namespace {

using postgres::QuoteIdentifier;
using postgres::QuoteLiteral;

// "lhtn"; the second number is the tenant's.
constexpr std::string_view kLock = "SELECT pg_advisory_lock(1818784878, hashtext($1))";
constexpr std::string_view kUnlock = "SELECT pg_advisory_unlock(1818784878, hashtext($1))";
constexpr std::string_view kLocked =
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 1818784878 "
    "AND objid = hashtext($1)::oid AND objsubid = 2 AND granted AND pid = pg_backend_pid())";

}  // namespace

TenantDatabase::TenantDatabase(const Instance& instance, const Migrations& migrations, postgres::Connection& central,
                               Options options)
    : instance_(instance),
      migrations_(migrations),
      central_(central),
      options_(std::move(options)),
      database_(TenantDatabaseName(options_.tenant, instance.service())),
      staging_(StagingName(options_.database_id)),
      owner_{.name = database_, .mark = MarkOf(options_.database_id), .kind = RoleKind::kOwner},
      read_only_{.name = TenantReadOnlyRole(options_.tenant, instance.service()),
                 .mark = MarkOf(options_.database_id),
                 .kind = RoleKind::kReadOnly} {}

TenantDatabase::~TenantDatabase() = default;

std::span<const TenantDatabase::Step> TenantDatabase::Present() {
  static constexpr Step kSteps[] = {
      {"making the roles", &TenantDatabase::MakeRoles},
      {"creating the database", &TenantDatabase::CreateDatabase},
      {"closing the database to PUBLIC", &TenantDatabase::SecureDatabase},
      {"letting the roles log in", &TenantDatabase::OpenRoles},
      {"granting privileges", &TenantDatabase::GrantInside},
      {"migrating the database", &TenantDatabase::MigrateInside},
      {"moving the database into place", &TenantDatabase::MoveIntoPlace},
  };
  return kSteps;
}

std::span<const TenantDatabase::Step> TenantDatabase::Closed() {
  static constexpr Step kSteps[] = {
      {"making the roles", &TenantDatabase::MakeRoles},
      {"creating the database", &TenantDatabase::CreateDatabase},
      {"closing the database to PUBLIC", &TenantDatabase::SecureDatabase},
      {"letting the roles log in", &TenantDatabase::OpenRolesToBuild},
      {"granting privileges", &TenantDatabase::GrantInside},
      {"migrating the database", &TenantDatabase::MigrateToBuild},
      {"moving the database into place", &TenantDatabase::MoveIntoPlace},
      {"closing the roles", &TenantDatabase::CloseRoles},
  };
  return kSteps;
}

std::span<const TenantDatabase::Step> TenantDatabase::Shut() {
  static constexpr Step kSteps[] = {{"closing the roles", &TenantDatabase::CloseRoles}};
  return kSteps;
}

std::span<const TenantDatabase::Step> TenantDatabase::Absent() {
  static constexpr Step kSteps[] = {
      {"closing the roles", &TenantDatabase::CloseRoles},
      {"dropping the database", &TenantDatabase::DropDatabases},
      {"dropping the roles", &TenantDatabase::DropRoles},
  };
  return kSteps;
}

absl::Status TenantDatabase::Run(std::span<const Step> steps, const std::function<absl::Status()>& go_on) {
  go_on_ = go_on;
  LH_RETURN_IF_ERROR(Explain(central_.ExecAlone(kLock, {options_.tenant.str()}).status(), "waiting for the tenant"));
  const absl::Cleanup unlock = [&] { (void)central_.ExecAlone(kUnlock, {options_.tenant.str()}); };
  for (const Step& step : steps) {
    LH_RETURN_IF_ERROR(go_on());
    LH_RETURN_IF_ERROR(Explain((this->*step.run)(), step.name));
    LH_RETURN_IF_ERROR(
        Explain(central_.InTransaction([&](postgres::Transaction& tx) { return CheckLock(tx); }), step.name));
  }
  return absl::OkStatus();
}

// A connection that breaks is replaced without a word, and the lock went with it.
absl::Status TenantDatabase::CheckLock(postgres::Transaction& tx) {
  LH_ASSIGN_OR_RETURN(const pqxx::result locked, tx.Exec(kLocked, {options_.tenant.str()}));
  if (locked[0][0].as<bool>()) return absl::OkStatus();
  return Error(v1::REASON_INSTANCE_UNAVAILABLE, "the connection to the instance was lost in the middle of the work");
}

absl::Status TenantDatabase::MakeRoles() {
  return central_.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    for (const RoleSpec* role : {&owner_, &read_only_}) {
      LH_RETURN_IF_ERROR(
          MakeRole(tx, *role, instance_.RoleSecret(options_.database_id, role->kind), options_.renew_secrets));
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<std::string> TenantDatabase::Locate(bool& in_place) {
  LH_ASSIGN_OR_RETURN(const std::optional<ObservedDatabase> final, ObserveDatabase(central_, database_));
  in_place = final.has_value();
  if (!in_place) return staging_;
  if (!IsOf(*final, options_.database_id)) {
    return Error(v1::REASON_NAME_TAKEN, std::format("a database {} exists that Leasehold did not make", database_));
  }
  return database_;
}

absl::Status TenantDatabase::CreateDatabase() {
  bool in_place = false;
  LH_ASSIGN_OR_RETURN(const std::string name, Locate(in_place));
  LH_ASSIGN_OR_RETURN(const std::optional<ObservedDatabase> present, ObserveDatabase(central_, name));
  if (present.has_value()) {
    if (present->valid) return absl::OkStatus();
    LH_RETURN_IF_ERROR(in_place ? DropInPlace() : DropStaging());
  }
  options_.schema_version.reset();
  // template0, not template1: nobody can be connected to it, which would make CREATE DATABASE fail, and it holds
  // nothing that somebody put there.
  return central_
      .ExecAlone(std::format("CREATE DATABASE {} OWNER {} TEMPLATE template0", QuoteIdentifier(staging_),
                             QuoteIdentifier(owner_.name)))
      .status();
}

absl::Status TenantDatabase::SecureDatabase() {
  bool in_place = false;
  LH_ASSIGN_OR_RETURN(const std::string name, Locate(in_place));
  const std::string database = QuoteIdentifier(name);
  return central_.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    if (in_place) LH_RETURN_IF_ERROR(Mark(tx));  // its owner may have changed it
    LH_RETURN_IF_ERROR(tx.Exec(std::format("REVOKE ALL ON DATABASE {} FROM PUBLIC", database)).status());
    return tx
        .Exec(std::format("GRANT CONNECT ON DATABASE {} TO {}, {}", database, QuoteIdentifier(owner_.name),
                          QuoteIdentifier(read_only_.name)))
        .status();
  });
}

absl::Status TenantDatabase::SetLogins(bool may_log_in) {
  return central_.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(SetLogin(tx, owner_, may_log_in));
    return SetLogin(tx, read_only_, may_log_in);
  });
}

absl::Status TenantDatabase::OpenRoles() { return SetLogins(true); }

absl::Status TenantDatabase::OpenRolesToBuild() {
  bool in_place = false;
  LH_RETURN_IF_ERROR(Locate(in_place).status());
  return in_place ? absl::OkStatus() : SetLogins(true);
}

postgres::Connection& TenantDatabase::Inside(const std::string& name) {
  if (inside_ == nullptr) inside_ = std::make_unique<postgres::Connection>(instance_.AsLogin(name));
  return *inside_;
}

absl::Status TenantDatabase::GrantInside() {
  bool in_place = false;
  LH_ASSIGN_OR_RETURN(const std::string name, Locate(in_place));
  if (in_place) return absl::OkStatus();
  // Also now, while nobody else has been here: a tenant that made a schema `leasehold` first would own its history.
  LH_RETURN_IF_ERROR(PrepareHistory(Inside(name)));
  const std::string owner = QuoteIdentifier(owner_.name);
  const std::string reader = QuoteIdentifier(read_only_.name);
  const std::string defaults = std::format("ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT ", owner);
  return Inside(name).InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(tx.Exec("REVOKE ALL ON SCHEMA public FROM PUBLIC").status());
    LH_RETURN_IF_ERROR(tx.Exec(std::format("GRANT USAGE ON SCHEMA public TO {}", reader)).status());
    LH_RETURN_IF_ERROR(tx.Exec(std::format("{}SELECT ON TABLES TO {}", defaults, reader)).status());
    LH_RETURN_IF_ERROR(tx.Exec(std::format("{}SELECT ON SEQUENCES TO {}", defaults, reader)).status());
    return tx.Exec(std::format("{}USAGE ON SCHEMAS TO {}", defaults, reader)).status();
  });
}

absl::Status TenantDatabase::MigrateInside() {
  bool in_place = false;
  LH_ASSIGN_OR_RETURN(const std::string name, Locate(in_place));
  if (in_place && options_.schema_version == NewestVersion(migrations_)) return absl::OkStatus();
  if (migrations_.empty()) {
    options_.schema_version = 0;
    return absl::OkStatus();
  }
  postgres::Connection owner(instance_.AsRole(name, owner_.name, options_.database_id, RoleKind::kOwner));
  LH_ASSIGN_OR_RETURN(options_.schema_version, Migrate({.keeper = Inside(name), .owner = owner}, migrations_, go_on_));
  return absl::OkStatus();
}

absl::Status TenantDatabase::MigrateToBuild() {
  bool in_place = false;
  LH_RETURN_IF_ERROR(Locate(in_place).status());
  return in_place ? absl::OkStatus() : MigrateInside();
}

// A rename fails while anybody is connected, and a server process outlives its client's goodbye by a moment. PostgreSQL
// itself would look again only every 100 ms.
absl::Status TenantDatabase::LeaveInside() {
  inside_.reset();
  for (int round = 0; round < 100; ++round) {
    LH_ASSIGN_OR_RETURN(const pqxx::result left,
                        central_.ExecAlone("SELECT count(*) FROM pg_stat_activity WHERE datname = $1 "
                                           "AND usename IN (current_user, $2)",
                                           {staging_, owner_.name}));
    if (left[0][0].as<int>() == 0) break;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return absl::OkStatus();
}

absl::Status TenantDatabase::MoveIntoPlace() {
  bool in_place = false;
  LH_RETURN_IF_ERROR(Locate(in_place).status());
  if (in_place) return absl::OkStatus();
  LH_RETURN_IF_ERROR(LeaveInside());
  return central_.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(
        tx.Exec(std::format("ALTER DATABASE {} RENAME TO {}", QuoteIdentifier(staging_), QuoteIdentifier(database_)))
            .status());
    return Mark(tx);
  });
}

absl::Status TenantDatabase::Mark(postgres::Transaction& tx) {
  return tx.Exec(std::format("COMMENT ON DATABASE {} IS {}", QuoteIdentifier(database_), QuoteLiteral(owner_.mark)))
      .status();
}

absl::Status TenantDatabase::CloseRoles() {
  inside_.reset();
  LH_RETURN_IF_ERROR(SetLogins(false));
  return EndSessions(central_, owner_, read_only_);
}

absl::Status TenantDatabase::DropInPlace() {
  LH_RETURN_IF_ERROR(
      SetAside(central_, database_, owner_.mark, [this](postgres::Transaction& tx) { return CheckLock(tx); }));
  return DropSetAside(central_, owner_.mark);
}

// By name: nothing else ever bears it.
absl::Status TenantDatabase::DropStaging() {
  return central_.ExecAlone(std::format("DROP DATABASE IF EXISTS {} WITH (FORCE)", QuoteIdentifier(staging_))).status();
}

absl::Status TenantDatabase::DropDatabases() {
  LH_RETURN_IF_ERROR(DropInPlace());
  return DropStaging();
}

absl::Status TenantDatabase::DropRoles() {
  return central_.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(CheckLock(tx));
    LH_RETURN_IF_ERROR(DropRole(tx, read_only_));
    return DropRole(tx, owner_);
  });
}

}  // namespace leasehold::provisioner
