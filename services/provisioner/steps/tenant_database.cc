#include "services/provisioner/steps/tenant_database.h"

#include <format>

#include "absl/cleanup/cleanup.h"
#include "absl/time/clock.h"
#include "common/failpoint/failpoint.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "common/telemetry/span.h"
#include "services/provisioner/migrations/attempt.h"
#include "services/provisioner/migrations/runner.h"
#include "services/provisioner/steps/claimer.h"
#include "services/provisioner/steps/drop.h"
#include "services/provisioner/steps/elsewhere.h"
#include "services/provisioner/steps/grants.h"
#include "services/provisioner/steps/inside.h"
#include "services/provisioner/steps/migrate_database.h"
#include "services/provisioner/steps/prepared.h"
#include "services/provisioner/steps/restore.h"

namespace leasehold::provisioner {
namespace {

using postgres::QuoteIdentifier;
using postgres::QuoteLiteral;

constexpr std::string_view kLockNotAvailable = "55P03";

std::string OwnerName(const TenantDatabase::Options& options, const ServiceName& service) {
  return options.tenant ? TenantDatabaseName(*options.tenant, service) : StagingName(options.database_id);
}
std::string ReaderName(const TenantDatabase::Options& options, const ServiceName& service) {
  return options.tenant ? TenantReadOnlyRole(*options.tenant, service) : StagingReadOnlyRole(options.database_id);
}

}  // namespace

TenantDatabase::TenantDatabase(const Instance& instance, const Migrations& migrations, postgres::Connection& central,
                               Options options)
    : instance_(instance),
      migrations_(migrations),
      central_(central),
      options_(std::move(options)),
      database_(OwnerName(options_, instance.service())),
      staging_(StagingName(options_.database_id)),
      owner_{.name = database_, .mark = MarkOf(options_.database_id), .kind = RoleKind::kOwner},
      read_only_{.name = ReaderName(options_, instance.service()),
                 .mark = MarkOf(options_.database_id),
                 .kind = RoleKind::kReadOnly},
      lock_(central, options_.tenant ? options_.tenant->str() : options_.database_id) {}

TenantDatabase::~TenantDatabase() = default;

std::span<const TenantDatabase::Step> TenantDatabase::Present() {
  static constexpr Step kSteps[] = {
      {"making the roles", &TenantDatabase::MakeRoles},
      {"creating the database", &TenantDatabase::CreateDatabase},
      {"closing the database to PUBLIC", &TenantDatabase::SecureDatabase},
      {"granting privileges", &TenantDatabase::GrantInside},
      {"letting the roles log in", &TenantDatabase::OpenRoles},
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

std::span<const TenantDatabase::Step> TenantDatabase::Spare() {
  static constexpr Step kSteps[] = {
      {"making the roles", &TenantDatabase::MakeRoles},
      {"creating the database", &TenantDatabase::CreateDatabase},
      {"closing the database to PUBLIC", &TenantDatabase::SecureDatabase},
      {"letting the roles log in", &TenantDatabase::OpenRoles},
      {"granting privileges", &TenantDatabase::GrantInside},
      {"migrating the database", &TenantDatabase::MigrateInside},
      {"finishing the spare", &TenantDatabase::FinishSpare},
  };
  return kSteps;
}

std::span<const TenantDatabase::Step> TenantDatabase::NoSpare() {
  static constexpr Step kSteps[] = {
      {"dropping the database", &TenantDatabase::DropStaging},
      {"dropping the roles", &TenantDatabase::DropRoles},
  };
  return kSteps;
}

absl::Status TenantDatabase::Run(std::span<const Step> steps, const std::function<absl::Status()>& go_on) {
  const absl::StatusOr<bool> taken = lock_.TryTake();
  LH_RETURN_IF_ERROR(Explain(taken.status(), "taking the tenant in hand"));
  elsewhere_ = !*taken;
  if (elsewhere_) return absl::OkStatus();
  const absl::Cleanup release = [this] { lock_.Release(); };
  const auto locked = [this] { return Explain(lock_.Check(), "going on"); };
  go_on_ = [&]() -> absl::Status {
    LH_RETURN_IF_ERROR(locked());
    return go_on();
  };
  for (const Step& step : steps) {
    LH_RETURN_IF_ERROR(go_on_());
    LH_FAILPOINT(std::format("before {}", step.name));
    const absl::Time begun = absl::Now();
    Span span(step.name);
    LH_RETURN_IF_ERROR(span.Note(Explain((this->*step.run)(), step.name)));
    Log(Level::kDebug, "step done",
        {{"database", database_},
         {"step", step.name},
         {"ms", std::format("{:.1f}", absl::ToDoubleMilliseconds(absl::Now() - begun))}});
  }
  return locked();
}

absl::Status TenantDatabase::MakeRoles() {
  return central_.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    roles_were_shut_ = false;
    for (const RoleSpec* role : {&owner_, &read_only_}) {
      LH_ASSIGN_OR_RETURN(const std::optional<ObservedRole> before, ObserveRole(tx, role->name));
      roles_were_shut_ = roles_were_shut_ || !before.has_value() || !before->can_login;
      LH_RETURN_IF_ERROR(
          MakeRole(tx, *role, instance_.RoleSecret(options_.database_id, role->kind), options_.renew_secrets));
      LH_RETURN_IF_ERROR(RestoreRole(tx, *role));
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<std::string> TenantDatabase::Locate(bool& in_place) {
  in_place = false;
  if (!options_.tenant) return staging_;
  LH_ASSIGN_OR_RETURN(const std::optional<ObservedDatabase> final, ObserveDatabase(central_, database_));
  in_place = final.has_value();
  if (!in_place) return staging_;
  if (!IsOf(*final, options_.database_id)) {
    return Error(v1::REASON_NAME_TAKEN, std::format("a database {} exists that Leasehold did not make", database_));
  }
  return database_;
}

absl::Status TenantDatabase::CreateDatabase() {
  // What was never finished was never anybody's to rename.
  if (options_.tenant && options_.schema_version.has_value()) {
    LH_RETURN_IF_ERROR(
        RestoreName(central_, database_, owner_.mark, [this](postgres::Transaction& tx) { return lock_.Check(tx); }));
  }
  bool in_place = false;
  LH_ASSIGN_OR_RETURN(const std::string name, Locate(in_place));
  LH_ASSIGN_OR_RETURN(const std::optional<ObservedDatabase> present, ObserveDatabase(central_, name));
  if (present.has_value()) {
    if (!in_place) LH_RETURN_IF_ERROR(CheckStaging(*present));
    if (present->valid) return absl::OkStatus();
    LH_RETURN_IF_ERROR(in_place ? DropInPlace() : DropStaging());
  }
  options_.schema_version.reset();
  // template0, not template1: nobody can be connected to it, which would make CREATE DATABASE fail, and it holds
  // nothing that somebody put there.
  LH_RETURN_IF_ERROR(central_
                         .ExecAlone(std::format("CREATE DATABASE {} OWNER {} TEMPLATE template0",
                                                QuoteIdentifier(staging_), QuoteIdentifier(owner_.name)))
                         .status());
  created_ = true;
  return absl::OkStatus();
}

absl::Status TenantDatabase::SecureDatabase() {
  bool in_place = false;
  LH_ASSIGN_OR_RETURN(const std::string name, Locate(in_place));
  return central_.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(RestoreGrants(tx, name, owner_, read_only_));
    return in_place ? Mark(tx) : absl::OkStatus();  // its owner may have changed it
  });
}

absl::Status TenantDatabase::SetLogins(bool may_log_in, std::string_view lock_timeout) {
  return central_.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    if (!lock_timeout.empty()) {
      LH_RETURN_IF_ERROR(tx.Exec(std::format("SET LOCAL lock_timeout = {}", QuoteLiteral(lock_timeout))).status());
    }
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
  if (in_place) return roles_were_shut_ ? RegrantInside() : absl::OkStatus();
  return provisioner::GrantInside(Inside(name), owner_, read_only_, instance_.HistorySecret(options_.database_id));
}

absl::Status TenantDatabase::RegrantInside() {
  postgres::Connection& inside = Inside(database_);
  LH_ASSIGN_OR_RETURN(const std::vector<InsideFault> faults, InspectInside(inside, owner_.name, read_only_.name));
  return RepairInside(inside, faults);
}

absl::Status TenantDatabase::MigrateInside() {
  bool in_place = false;
  LH_ASSIGN_OR_RETURN(const std::string name, Locate(in_place));
  if (in_place && options_.schema_version == NewestVersion(migrations_)) return absl::OkStatus();
  if (in_place && options_.keep_version && options_.schema_version.has_value()) return absl::OkStatus();
  if (migrations_.empty()) {
    options_.schema_version = 0;
    return absl::OkStatus();
  }
  MigrateResult result;
  const absl::Status migrated =
      MigrateDatabase(instance_, {.database = name, .owner = owner_.name, .id = options_.database_id}, migrations_,
                      {.go_on = go_on_}, result);
  if (!in_place && options_.tenant && result.disagrees) return BeginAnew();
  if (!migrated.ok() && result.failure.has_value() && !MayPass(result.failure->sqlstate)) {
    failing_file_ = result.failure->file;
  }
  if (postgres::IsConnectionFailure(migrated) && result.failure.has_value()) {
    return Error(v1::REASON_INSTANCE_UNAVAILABLE, SessionEnded(*result.failure));
  }
  LH_RETURN_IF_ERROR(migrated);
  options_.schema_version = result.version;
  history_digest_ = result.digest;
  return absl::OkStatus();
}

// Nobody has had it yet, so nothing is lost, and nobody needs to say what to make of its history.
absl::Status TenantDatabase::BeginAnew() {
  inside_.reset();
  LH_RETURN_IF_ERROR(DropStaging());
  return Error(v1::REASON_SUPERSEDED, "what was begun is not of the files as they are now; it is begun anew");
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
  // Left by a process that stood still between two statements and went on when another had done its work.
  if (in_place) return DropStaging();
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

absl::Status TenantDatabase::FinishSpare() {
  LH_RETURN_IF_ERROR(SetLogins(false));
  LH_RETURN_IF_ERROR(LeaveInside());
  return central_.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(lock_.Check(tx));
    LH_RETURN_IF_ERROR(LetClaim(tx, ClaimerOf(instance_.login()), owner_, read_only_));
    return Mark(tx);
  });
}

// A role may change itself, its password say, and so hold the lock that shutting it needs for as long as its
// transaction is open, or prepared.
absl::Status TenantDatabase::CloseRoles() {
  inside_.reset();
  absl::Status shut = SetLogins(false, "500ms");
  if (postgres::SqlStateOf(shut) == kLockNotAvailable) {
    LH_RETURN_IF_ERROR(EndSessions(central_, owner_, read_only_));
    LH_RETURN_IF_ERROR(RollBackPrepared(instance_, central_, database_, owner_.mark));
    shut = SetLogins(false);
  }
  LH_RETURN_IF_ERROR(shut);
  return EndSessions(central_, owner_, read_only_);
}

absl::Status TenantDatabase::DropInPlace() {
  LH_RETURN_IF_ERROR(RollBackPrepared(instance_, central_, database_, owner_.mark));
  LH_RETURN_IF_ERROR(
      SetAside(central_, database_, owner_.mark, [this](postgres::Transaction& tx) { return lock_.Check(tx); }));
  LH_FAILPOINT("between setting aside and dropping");
  return DropSetAside(central_, owner_.mark);
}

// It is ours by its owner from the moment it exists.
absl::Status TenantDatabase::CheckStaging(const ObservedDatabase& present) const {
  if (IsOf(present, options_.database_id)) return absl::OkStatus();
  return Error(v1::REASON_NAME_TAKEN, std::format("a database {} exists that Leasehold did not make", staging_));
}

absl::Status TenantDatabase::DropStaging() {
  LH_ASSIGN_OR_RETURN(const std::optional<ObservedDatabase> present, ObserveDatabase(central_, staging_));
  if (!present.has_value()) return absl::OkStatus();
  LH_RETURN_IF_ERROR(CheckStaging(*present));
  return DropDatabase(central_, staging_);
}

absl::Status TenantDatabase::DropDatabases() {
  LH_RETURN_IF_ERROR(DropInPlace());
  LH_ASSIGN_OR_RETURN(const std::vector<std::string> renamed, OtherNames(central_, database_, owner_.mark));
  for (const std::string& name : renamed) {
    LH_RETURN_IF_ERROR(RollBackPrepared(instance_, central_, name, owner_.mark));
    LH_RETURN_IF_ERROR(
        SetAside(central_, name, owner_.mark, [this](postgres::Transaction& tx) { return lock_.Check(tx); }));
  }
  LH_RETURN_IF_ERROR(DropSetAside(central_, owner_.mark));
  return DropStaging();
}

absl::Status TenantDatabase::DropRoles() {
  LH_RETURN_IF_ERROR(RevokeElsewhere(instance_, central_, {&read_only_, &owner_}));
  return central_.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(lock_.Check(tx));
    LH_RETURN_IF_ERROR(DropRole(tx, read_only_));
    return DropRole(tx, owner_);
  });
}

}  // namespace leasehold::provisioner
