#include "services/provisioner/archive/refill.h"

#include <format>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "common/failpoint/failpoint.h"
#include "common/status/error.h"
#include "services/provisioner/archive/dump_login.h"
#include "services/provisioner/migrations/runner.h"
#include "services/provisioner/steps/drop.h"
#include "services/provisioner/steps/elsewhere.h"
#include "services/provisioner/steps/grants.h"
#include "services/provisioner/steps/migrate_database.h"
#include "services/provisioner/steps/observe.h"
#include "services/provisioner/steps/prepared.h"
#include "services/provisioner/steps/restore.h"
#include "services/provisioner/steps/schema_note.h"

namespace leasehold::provisioner {
namespace {

using postgres::QuoteIdentifier;
using postgres::QuoteLiteral;

constexpr std::string_view kStillInUse = "55006";
constexpr int kSwapRounds = 5;

// Our own sessions end a moment after we have left them; nobody else knows the name.
constexpr std::string_view kLeave =
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1 "
    "AND backend_type IN ('client backend', 'walsender')";

}  // namespace

Refill::Refill(const Instance& instance, const Migrations& migrations, postgres::Connection& central,
               const Clock& clock, std::filesystem::path backup_folder, const TenantRecord& record)
    : instance_(instance),
      migrations_(migrations),
      central_(central),
      clock_(clock),
      backup_folder_(std::move(backup_folder)),
      record_(record),
      role_id_(record.database_id.empty() ? record.fill_database_id : record.database_id),
      database_(TenantDatabaseName(record.id, instance.service())),
      staging_(StagingName(record.fill_database_id)),
      owner_{.name = database_, .mark = MarkOf(role_id_), .kind = RoleKind::kOwner},
      read_only_{.name = TenantReadOnlyRole(record.id, instance.service()),
                 .mark = MarkOf(role_id_),
                 .kind = RoleKind::kReadOnly},
      lock_(central, record.id.str()) {}

Refill::~Refill() = default;

absl::Status Refill::Step(std::string_view doing, const std::function<absl::Status()>& work) {
  LH_RETURN_IF_ERROR(go_on_());
  LH_FAILPOINT(std::format("before {}", doing));
  LH_RETURN_IF_ERROR(Explain(work(), doing));
  return Explain(lock_.Check(), doing);
}

absl::StatusOr<bool> Refill::TakeInHand(const GoOn& go_on) {
  go_on_ = go_on;
  const absl::StatusOr<bool> taken = lock_.TryTake();
  LH_RETURN_IF_ERROR(Explain(taken.status(), "taking the tenant in hand"));
  return !*taken;
}

absl::Status Refill::Run(const GoOn& go_on, const CopyMeter::Tell& tell) {
  LH_ASSIGN_OR_RETURN(elsewhere_, TakeInHand(go_on));
  if (elsewhere_) return absl::OkStatus();
  LH_RETURN_IF_ERROR(Step("looking for the database", [this] { return CheckPlace(); }));
  LH_RETURN_IF_ERROR(Step("making the roles", [this] { return MakeRoles(); }));
  LH_RETURN_IF_ERROR(Step("creating the database", [this] { return Create(); }));
  LH_RETURN_IF_ERROR(Step("copying the data", [&] { return Fill(tell); }));
  LH_RETURN_IF_ERROR(Step("checking the copy", [this] { return Check(); }));
  LH_RETURN_IF_ERROR(Step("migrating the copy", [this] { return MigrateNew(); }));
  LH_RETURN_IF_ERROR(Step("moving the database into place", [this] { return MoveIntoPlace(); }));
  // The new one is in place: what goes wrong now is left to the next pass.
  (void)DropSetAside(central_);
  return absl::OkStatus();
}

absl::Status Refill::Discard(const GoOn& go_on) {
  LH_ASSIGN_OR_RETURN(elsewhere_, TakeInHand(go_on));
  if (elsewhere_) return absl::OkStatus();
  return Step("dropping what was being filled", [this]() -> absl::Status {
    LH_RETURN_IF_ERROR(DropStaging());
    LH_FAILPOINT("after dropping what was being filled");
    if (!record_.database_id.empty()) return absl::OkStatus();  // the roles are those of the old one
    LH_RETURN_IF_ERROR(RevokeElsewhere(instance_, central_, {&read_only_, &owner_}));
    return central_.InTransaction([this](postgres::Transaction& tx) -> absl::Status {
      LH_RETURN_IF_ERROR(lock_.Check(tx));
      LH_RETURN_IF_ERROR(DropRole(tx, read_only_));
      return DropRole(tx, owner_);
    });
  });
}

absl::Status Refill::CheckPlace() {
  LH_ASSIGN_OR_RETURN(const std::optional<ObservedDatabase> there, ObserveDatabase(central_, database_));
  if (!there.has_value() || (!record_.database_id.empty() && IsOf(*there, record_.database_id))) {
    return absl::OkStatus();
  }
  return Error(v1::REASON_NAME_TAKEN, std::format("a database {} exists that Leasehold did not make", database_));
}

absl::Status Refill::MakeRoles() {
  return central_.InTransaction([this](postgres::Transaction& tx) -> absl::Status {
    for (const RoleSpec* role : {&owner_, &read_only_}) {
      // The role key may have changed since the roles were made, and the owner has to log in.
      LH_RETURN_IF_ERROR(MakeRole(tx, *role, instance_.RoleSecret(role_id_, role->kind), /*renew_secret=*/true));
      LH_RETURN_IF_ERROR(SetLogin(tx, *role, true));
    }
    return absl::OkStatus();
  });
}

// It is ours by its owner from the moment it exists.
absl::Status Refill::DropStaging() {
  LH_ASSIGN_OR_RETURN(const std::optional<ObservedDatabase> there, ObserveDatabase(central_, staging_));
  if (!there.has_value()) return absl::OkStatus();
  if (!IsOf(*there, role_id_)) {
    return Error(v1::REASON_NAME_TAKEN, std::format("a database {} exists that Leasehold did not make", staging_));
  }
  return DropDatabase(central_, staging_);
}

absl::Status Refill::Create() {
  // Nobody knows how far an earlier run came.
  LH_RETURN_IF_ERROR(DropStaging());
  LH_RETURN_IF_ERROR(central_
                         .ExecAlone(std::format("CREATE DATABASE {} OWNER {} TEMPLATE template0",
                                                QuoteIdentifier(staging_), QuoteIdentifier(owner_.name)))
                         .status());
  const absl::Status granted = central_.InTransaction(
      [this](postgres::Transaction& tx) { return RestoreGrants(tx, staging_, owner_, read_only_); });
  LH_RETURN_IF_ERROR(granted);
  return GrantInside(Inside(), owner_, read_only_, instance_.HistorySecret(record_.fill_database_id));
}

postgres::Connection& Refill::Inside() {
  if (inside_ == nullptr) inside_ = std::make_unique<postgres::Connection>(instance_.AsLogin(staging_));
  return *inside_;
}

postgres::ConnectOptions Refill::AsOwner() const {
  return instance_.AsRole(staging_, owner_.name, role_id_, RoleKind::kOwner);
}

absl::Status Refill::Fill(const CopyMeter::Tell& tell) {
  CopyMeter meter(central_, clock_, staging_, tell);
  LH_RETURN_IF_ERROR(record_.origin.backup.empty() ? FillFromTenant(meter) : FillFromBackup(meter));
  meter.End();
  return WriteHistory(Inside(), contents_);
}

GoOn Refill::Watching(CopyMeter& meter) const {
  return [this, &meter] {
    meter.Look();
    LH_FAILPOINT("while copying the data");
    return go_on_();
  };
}

absl::Status Refill::FillFromBackup(CopyMeter& meter) {
  if (backup_folder_.empty()) {
    return Error(v1::REASON_BACKUP_FAILED, "this provisioner has no folder for backups");
  }
  const BackupPlace place(backup_folder_, record_.origin.backup, instance_.service().str());
  LH_ASSIGN_OR_RETURN(
      const pqxx::result known,
      central_.ExecAlone("SELECT manifest_sha256 FROM leasehold.backups WHERE id = $1", {record_.origin.backup}));
  const std::string sha256 = known.empty() ? "" : known[0][0].as<std::string>();
  LH_ASSIGN_OR_RETURN(const Manifest manifest,
                      VerifyBackup(place, record_.origin.backup, instance_.service().str(), sha256, go_on_));
  contents_ = manifest.contents;
  meter.Begin(manifest.database_bytes);
  return RestoreFromFolder(BackupPlace::DataIn(place.folder), AsOwner(), Watching(meter));
}

absl::Status Refill::FillFromTenant(CopyMeter& meter) {
  LH_ASSIGN_OR_RETURN(const TenantId source, TenantId::Parse(record_.origin.tenant));
  const std::string name = TenantDatabaseName(source, instance_.service());
  LH_ASSIGN_OR_RETURN(const std::optional<ObservedDatabase> there, ObserveDatabase(central_, name));
  if (!there.has_value() || !there->owner_mark.starts_with(MarkOf(""))) {
    return Error(v1::REASON_BACKUP_FAILED, std::format("tenant {} has no database to copy", source.str()));
  }
  ClosedDump closed(central_, name);
  LH_ASSIGN_OR_RETURN(const postgres::ConnectOptions dumper,
                      DumpLogin(instance_, central_, name, there->owner_mark, closed));
  postgres::Connection from(instance_.AsLogin(name));
  meter.Begin(SizeOf(central_, name).value_or(0));
  const auto go_on = [this]() -> absl::Status {
    LH_RETURN_IF_ERROR(go_on_());
    return lock_.Check();
  };
  LH_ASSIGN_OR_RETURN(contents_, CopyWithSnapshot(from, go_on, [&](const Snapshot& snapshot) {
                        return CopyDatabase({.login = dumper, .owner = name, .snapshot = snapshot}, AsOwner(),
                                            Watching(meter));
                      }));
  return absl::OkStatus();
}

absl::Status Refill::Check() {
  return CompareRows(Inside(), contents_, go_on_,
                     record_.origin.backup.empty() ? v1::REASON_BACKUP_FAILED : v1::REASON_BACKUP_DAMAGED);
}

absl::Status Refill::MigrateNew() {
  schema_version_ = contents_.schema_version();
  if (migrations_.empty()) return absl::OkStatus();
  MigrateResult result;
  LH_RETURN_IF_ERROR(MigrateDatabase(
      instance_, {.database = staging_, .owner = owner_.name, .id = record_.fill_database_id, .role_id = role_id_},
      migrations_, {.go_on = go_on_}, result));
  schema_version_ = *result.version;
  return NoteSchema(central_,
                    {.database_id = record_.fill_database_id, .version = schema_version_, .digest = result.digest});
}

absl::Status Refill::MoveIntoPlace() {
  inside_.reset();
  absl::Status status;
  for (int round = 0; round < kSwapRounds; ++round) {
    LH_RETURN_IF_ERROR(central_.ExecAlone(kLeave, {staging_}).status());
    if (!record_.database_id.empty()) {
      LH_RETURN_IF_ERROR(EndSessions(central_, owner_, read_only_));
      LH_RETURN_IF_ERROR(central_.ExecAlone(kLeave, {database_}).status());
      LH_RETURN_IF_ERROR(RollBackPrepared(instance_, central_, database_, owner_.mark));
    }
    status = central_.InTransaction([this](postgres::Transaction& tx) { return Swap(tx); });
    if (postgres::SqlStateOf(status) != kStillInUse) break;
  }
  return status;
}

// All or nothing, the record too.
absl::Status Refill::Swap(postgres::Transaction& tx) {
  LH_RETURN_IF_ERROR(lock_.Check(tx));
  LH_RETURN_IF_ERROR(Records::AdoptFill(tx, record_, schema_version_, instance_.KeyFingerprint()));
  if (!record_.database_id.empty()) LH_RETURN_IF_ERROR(RenameAside(tx, database_, owner_.mark));
  LH_RETURN_IF_ERROR(
      tx.Exec(std::format("ALTER DATABASE {} RENAME TO {}", QuoteIdentifier(staging_), QuoteIdentifier(database_)))
          .status());
  const std::string mark = MarkOf(record_.fill_database_id);
  LH_RETURN_IF_ERROR(
      tx.Exec(std::format("COMMENT ON DATABASE {} IS {}", QuoteIdentifier(database_), QuoteLiteral(mark))).status());
  if (role_id_ == record_.fill_database_id) return absl::OkStatus();
  LH_RETURN_IF_ERROR(TakeOverRole(tx, owner_));
  return TakeOverRole(tx, read_only_);
}

absl::Status Refill::TakeOverRole(postgres::Transaction& tx, const RoleSpec& role) {
  const std::string name = QuoteIdentifier(role.name);
  const std::string secret = instance_.RoleSecret(record_.fill_database_id, role.kind);
  LH_RETURN_IF_ERROR(tx.Exec(std::format("ALTER ROLE {} PASSWORD {}", name, QuoteLiteral(secret))).status());
  return tx.Exec(std::format("COMMENT ON ROLE {} IS {}", name, QuoteLiteral(MarkOf(record_.fill_database_id))))
      .status();
}

}  // namespace leasehold::provisioner
