#include "services/provisioner/rollout/database_task.h"

#include <algorithm>
#include <format>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "common/clock/clock.h"
#include "common/config/config.h"
#include "common/failpoint/failpoint.h"
#include "common/status/error.h"
#include "services/provisioner/migrations/attempt.h"
#include "services/provisioner/rollout/repair.h"
#include "services/provisioner/steps/tenant_lock.h"

namespace leasehold::provisioner {
namespace {

// A connection that breaks says nothing about the database: begin again, with pauses in which a server may come back.
constexpr int kConnectionAttempts = 6;
constexpr absl::Duration kConnectionPause = absl::Milliseconds(500);
constexpr absl::Duration kTenantPause = absl::Milliseconds(200);
constexpr std::string_view kLockNotAvailable = "55P03";

bool IsOfTheRun(const absl::Status& status) {
  const v1::Reason reason = ReasonOf(status);
  return reason == v1::REASON_SHUTTING_DOWN || reason == v1::REASON_CANCELLED || reason == v1::REASON_SUPERSEDED;
}

bool IsUnreachable(const absl::Status& status) {
  return postgres::IsConnectionFailure(status) || ReasonOf(status) == v1::REASON_INSTANCE_UNAVAILABLE;
}

class Task {
 public:
  Task(const TaskContext& context, const FleetDatabase& database)
      : context_(context), files_(context.files.Of(database.tenant)), database_(database) {
    note_.database_id = database.database_id;
    note_.from_version = note_.to_version = database.version;
    options_.run = context.run;
    options_.newest = context.files.NewestOf(database.tenant);
    options_.go_on = context.go_on;
    const v1::MigrationSpec& spec = context.spec;
    if (spec.has_lock_timeout()) options_.lock_timeout = ToDuration(spec.lock_timeout());
    if (spec.lock_attempts() > 0) options_.lock_attempts = spec.lock_attempts();
    if (spec.has_statement_timeout()) options_.statement_timeout = ToDuration(spec.statement_timeout());
  }

  absl::Status Run() {
    for (int attempt = 1;; ++attempt) {
      const absl::Status status = Attempt();
      attempts_ += std::max(1, result_.attempts);
      if (result_.failure.has_value()) lost_ = IsUnreachable(status) ? result_.failure : std::nullopt;
      if (IsOfTheRun(status)) return status;
      if (!IsUnreachable(status) || attempt == kConnectionAttempts) {
        Conclude(status);
        return absl::OkStatus();
      }
      LH_RETURN_IF_ERROR(Pause(options_, kConnectionPause * attempt));
    }
  }

  void Skip(std::string_view why) {
    note_.state = v1::MIGRATION_TASK_STATE_SKIPPED;
    note_.report.mutable_failure()->set_message(std::string(why));
  }

  void PutOff() { note_.state = v1::MIGRATION_TASK_STATE_PENDING; }

  // False: it was not to be had, and the note says so.
  absl::StatusOr<bool> Await(TenantLock& lock) {
    Backoff backoff(options_.min_backoff, options_.max_backoff);
    for (int attempt = 1;; ++attempt) {
      const absl::Time end = absl::Now() + options_.lock_timeout;
      do {
        LH_RETURN_IF_ERROR(Pause(options_, std::min(options_.lock_timeout, kTenantPause)));
        LH_ASSIGN_OR_RETURN(const bool taken, lock.TryTake());
        if (taken) return true;
      } while (absl::Now() < end);
      if (attempt >= options_.lock_attempts) {
        note_.state = v1::MIGRATION_TASK_STATE_FAILED;
        note_.report.set_attempts(attempt);
        v1::MigrationFailure& failure = *note_.report.mutable_failure();
        failure.set_message("somebody else is at work on the tenant: another provisioner, or a change of it");
        failure.set_sqlstate(std::string(kLockNotAvailable));
        return false;
      }
      LH_RETURN_IF_ERROR(Pause(options_, backoff.Wait(attempt)));
    }
  }

  TaskNote TakeNote() { return std::move(note_); }

 private:
  absl::Status Attempt() {
    result_ = MigrateResult();
    const MigrationTarget target{
        .database = database_.database,
        .owner = database_.tenant.empty() ? CentralRole(context_.instance.service()) : database_.database,
        .id = database_.database_id};
    return WithOwner(context_.instance, target, result_, [this](postgres::Connection& owner, const Secret& secret) {
      note_.report.Clear();
      return Work(owner, secret);
    });
  }

  absl::Status Work(postgres::Connection& owner, const Secret& secret) {
    switch (context_.spec.kind()) {
      case v1::MIGRATION_KIND_APPLY:
        return Migrate(owner, secret, files_, options_, result_);
      case v1::MIGRATION_KIND_DRY_RUN:
        return DryRun(owner, secret, files_, options_, result_);
      case v1::MIGRATION_KIND_UNDO:
        if (context_.only_looks) return LookAtUndo(owner);
        return Undo(owner, secret, files_, context_.undo, options_, result_);
      case v1::MIGRATION_KIND_VERIFY:
        return Verify(owner);
      case v1::MIGRATION_KIND_PREFLIGHT:
        return Preflight(owner);
      case v1::MIGRATION_KIND_REPAIR:
        return Repair(owner);
      default:
        return Error(v1::REASON_INTERNAL, "a run of no kind");
    }
  }

  absl::StatusOr<History> Look(postgres::Connection& owner) {
    absl::StatusOr<History> history = ReadHistory(owner);
    result_.unprepared = !history.ok() && IsUnprepared(history.status());
    LH_RETURN_IF_ERROR(history.status());
    result_.version = NewestVersion(*history);
    result_.digest = DigestOf(*history);
    Add(FindingsOf(CompareHistory(*history, files_), database_.database));
    return history;
  }

  absl::Status LookAtUndo(postgres::Connection& owner) {
    const absl::Status may = CheckUndo(owner, files_, context_.undo);
    result_.unprepared = IsUnprepared(may);
    if (ReasonOf(may) != v1::REASON_MIGRATION_FAILED) return may;
    Add({MakeFinding(v1::MIGRATION_SEVERITY_ERROR, "cannot-undo", database_.database, "leasehold.migrations",
                     ClientText(may), "put the down file into the folder, or undo the newer run first")});
    return absl::OkStatus();
  }

  absl::Status Preflight(postgres::Connection& owner) {
    LH_ASSIGN_OR_RETURN(const History history, Look(owner));
    std::vector<const Migration*> pending;
    for (const Migration& file : files_) {
      const auto row = history.find(file.version);
      if (row == history.end() || !row->second.applied) pending.push_back(&file);
    }
    LH_ASSIGN_OR_RETURN(const Findings findings, InspectDatabase(owner, database_.database, pending));
    Add(findings);
    return absl::OkStatus();
  }

  absl::Status Verify(postgres::Connection& owner) {
    LH_ASSIGN_OR_RETURN(const History history, Look(owner));
    if (!database_.digest.empty() && database_.digest != result_.digest) {
      Add({MakeFinding(v1::MIGRATION_SEVERITY_WARNING, "summary-stale", database_.database, "leasehold.migrations",
                       "the summary in the central database was behind; it is right again", "")});
    }
    const SchemaObjects* const should_be = context_.references->Find(!database_.tenant.empty(), NewestVersion(history));
    if (should_be == nullptr) {
      Add({MakeFinding(v1::MIGRATION_SEVERITY_WARNING, "no-reference", database_.database, "",
                       "its version was not known when the run began, so its schema was not compared",
                       "verify it again")});
      return absl::OkStatus();
    }
    LH_ASSIGN_OR_RETURN(const SchemaObjects is, ReadSchema(owner));
    Add(FindingsOf(CompareSchemas(is, *should_be), database_.database));
    return absl::OkStatus();
  }

  absl::Status Repair(postgres::Connection& owner) {
    LH_ASSIGN_OR_RETURN(const History history, ReadForRepair(owner));
    absl::StatusOr<RepairStep> step = PlanRepair(history, files_, context_.spec);
    LH_RETURN_IF_ERROR(step.status());
    for (v1::MigrationFinding& finding : step->findings) finding.set_database(database_.database);
    if (step->what == RepairStep::What::kUnknown) {
      skip_ = std::format("neither the folder nor its history has a file {}", step->file);
      return absl::OkStatus();
    }
    if (step->what == RepairStep::What::kNothing || context_.spec.show_only()) {
      Add(step->findings);
      return absl::OkStatus();
    }
    // The history is the keeper's; the migration lock is held by the owner's session.
    postgres::Connection keeper(context_.instance.AsLogin(database_.database));
    LH_FAILPOINT("before repairing a history");
    LH_RETURN_IF_ERROR(ApplyRepair(keeper, *step, context_.run));
    LH_FAILPOINT("after repairing a history");
    for (v1::MigrationFinding& finding : step->findings) {
      finding.set_severity(v1::MIGRATION_SEVERITY_NOTE);
      finding.set_message(finding.message() + "; the history agrees now");
      finding.clear_remedy();
    }
    Add(step->findings);
    result_.files.push_back(step->file);
    LH_ASSIGN_OR_RETURN(const History after, ReadHistory(owner));
    result_.version = NewestVersion(after);
    result_.digest = DigestOf(after);
    return absl::OkStatus();
  }

  absl::StatusOr<History> ReadForRepair(postgres::Connection& owner) {
    LH_RETURN_IF_ERROR(LockMigrations(owner, options_));
    absl::StatusOr<History> history = ReadHistory(owner);
    result_.unprepared = !history.ok() && IsUnprepared(history.status());
    if (history.ok()) {
      result_.version = NewestVersion(*history);
      result_.digest = DigestOf(*history);
    }
    return history;
  }

  void Add(const Findings& findings) {
    for (const v1::MigrationFinding& finding : findings) *note_.report.add_findings() = finding;
  }

  void Conclude(const absl::Status& status) {
    v1::MigrationTask& report = note_.report;
    note_.state = status.ok() ? v1::MIGRATION_TASK_STATE_DONE : v1::MIGRATION_TASK_STATE_FAILED;
    report.set_attempts(attempts_);
    for (const std::string& file : result_.files) report.add_files(file);
    for (const std::string& file : result_.skipped) {
      report.add_not_tried(file);
      Add({MakeFinding(v1::MIGRATION_SEVERITY_NOTE, "not-tried", database_.database, file,
                       "it was not tried, or not all of it", "try it on a clone: `leasehold tenant clone`")});
    }
    if (result_.version.has_value()) {
      note_.to_version = *result_.version;
      note_.digest = result_.digest;
    }
    if (status.ok() && !skip_.empty()) Skip(skip_);
    if (status.ok()) return;
    v1::MigrationFailure& failure = *report.mutable_failure();
    failure.set_message(std::string(ClientText(Explain(status, "working on the database"))));
    failure.set_sqlstate(std::string(postgres::SqlStateOf(status)));
    const std::optional<StatementFailure>& at = IsUnreachable(status) ? lost_ : result_.failure;
    if (!at.has_value()) return;
    if (IsUnreachable(status)) failure.set_message(SessionEnded(*at));
    failure.set_file(at->file);
    failure.set_statement(at->statement);
    failure.set_line(at->line);
    failure.set_sqlstate(at->sqlstate);
    failure.set_text(at->text);
    failure.set_reason(at->reason);
  }

  const TaskContext& context_;
  const Migrations& files_;
  const FleetDatabase& database_;
  MigrateOptions options_;
  MigrateResult result_;
  TaskNote note_;
  std::string skip_;  // why there is nothing to do in it
  // Where the newest attempt that got as far as that has lost its session: those after it may not have.
  std::optional<StatementFailure> lost_;
  int attempts_ = 0;
};

// Why the tenant's database is none of the run's any more; empty if it is. `busy`: somebody else is at work on it.
absl::StatusOr<std::string> WhyNot(postgres::Connection& central, const FleetDatabase& database, bool busy) {
  LH_ASSIGN_OR_RETURN(
      const pqxx::result rows,
      central.ExecAlone("SELECT coalesce(database_id, ''), desired, fill_database_id IS NOT NULL, "
                        "schema_version IS NULL AND NOT EXISTS (SELECT FROM pg_database WHERE datname = $2) "
                        "FROM leasehold.tenants WHERE id = $1",
                        {database.tenant, database.database}));
  if (rows.empty() || rows[0][0].as<std::string>() != database.database_id) {
    return "the tenant has another database now, made with the newest files";
  }
  if (rows[0][1].as<std::string>() != "present") {
    return "the tenant is closed or on its way out; it is migrated when it opens again";
  }
  if (busy && rows[0][2].as<bool>()) {
    return "a restore or a clone is under way into the tenant; what it makes is migrated before it is leased";
  }
  if (rows[0][3].as<bool>()) return "the database is not complete; its provisioner makes it of the files as they are";
  return "";
}

}  // namespace

absl::StatusOr<TaskNote> RunTask(const TaskContext& context, const Turn& turn, postgres::Connection& central) {
  const FleetDatabase& database = *turn.database;
  Task task(context, database);
  std::optional<TenantLock> lock;
  if (!database.tenant.empty()) {
    lock.emplace(central, database.tenant);
    absl::StatusOr<bool> taken = lock->TryTake();
    if (!taken.ok()) return Explain(taken.status(), "waiting for the tenant");
    absl::StatusOr<std::string> why_not = WhyNot(central, database, /*busy=*/!*taken);
    if (!why_not.ok()) return Explain(why_not.status(), "looking at the tenant");
    if (!why_not->empty()) {
      task.Skip(*why_not);
      return task.TakeNote();
    }
    if (!*taken && !turn.is_last) {
      task.PutOff();
      return task.TakeNote();
    }
    if (!*taken) {
      taken = task.Await(*lock);
      if (!taken.ok()) return Explain(taken.status(), "waiting for the tenant");
      // Whoever had it may have closed or replaced it.
      if (*taken) why_not = WhyNot(central, database, /*busy=*/false);
      if (!why_not.ok()) return Explain(why_not.status(), "looking at the tenant");
      if (!why_not->empty()) task.Skip(*why_not);
      if (!*taken || !why_not->empty()) return task.TakeNote();
    }
  }
  LH_RETURN_IF_ERROR(task.Run());
  return task.TakeNote();
}

}  // namespace leasehold::provisioner
