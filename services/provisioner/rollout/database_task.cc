#include "services/provisioner/rollout/database_task.h"

#include <algorithm>
#include <format>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
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

  void Fail(const absl::Status& status) {
    note_.state = v1::MIGRATION_TASK_STATE_FAILED;
    note_.report.mutable_failure()->set_message(std::string(ClientText(status)));
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
    Add(step->findings);
    if (step->what == RepairStep::What::kNothing || context_.spec.show_only()) return absl::OkStatus();
    // The history is the keeper's; the migration lock is held by the owner's session.
    postgres::Connection keeper(context_.instance.AsLogin(database_.database));
    LH_FAILPOINT("before repairing a history");
    LH_RETURN_IF_ERROR(ApplyRepair(keeper, *step, context_.run));
    LH_FAILPOINT("after repairing a history");
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
    for (const std::string& file : result_.skipped) report.add_not_tried(file);
    if (result_.version.has_value()) {
      note_.to_version = *result_.version;
      note_.digest = result_.digest;
    }
    if (status.ok()) return;
    v1::MigrationFailure& failure = *report.mutable_failure();
    failure.set_message(std::string(ClientText(Explain(status, "working on the database"))));
    failure.set_sqlstate(std::string(postgres::SqlStateOf(status)));
    if (!result_.failure.has_value()) return;
    failure.set_file(result_.failure->file);
    failure.set_statement(result_.failure->statement);
    failure.set_line(result_.failure->line);
    failure.set_sqlstate(result_.failure->sqlstate);
    failure.set_text(result_.failure->text);
  }

  const TaskContext& context_;
  const Migrations& files_;
  const FleetDatabase& database_;
  MigrateOptions options_;
  MigrateResult result_;
  TaskNote note_;
  int attempts_ = 0;
};

// Why the tenant's database is none of the run's any more; empty if it is.
absl::StatusOr<std::string> WhyNot(postgres::Connection& central, const FleetDatabase& database) {
  LH_ASSIGN_OR_RETURN(
      const pqxx::result rows,
      central.ExecAlone("SELECT coalesce(database_id, ''), desired FROM leasehold.tenants WHERE id = $1",
                        {database.tenant}));
  if (rows.empty() || rows[0][0].as<std::string>() != database.database_id) {
    return "the tenant has another database now, made with the newest files";
  }
  if (rows[0][1].as<std::string>() != "present") {
    return "the tenant is closed or on its way out; it is migrated when it opens again";
  }
  return "";
}

}  // namespace

absl::StatusOr<TaskNote> RunTask(const TaskContext& context, const FleetDatabase& database,
                                 postgres::Connection& central) {
  Task task(context, database);
  std::optional<TenantLock> lock;
  if (!database.tenant.empty()) {
    lock.emplace(central, database.tenant);
    const absl::Time end = absl::Now() + context.tenant_patience;
    while (true) {
      absl::StatusOr<bool> taken = lock->TryTake();
      if (!taken.ok()) return Explain(taken.status(), "waiting for the tenant");
      if (*taken) break;
      if (absl::Now() >= end) {
        // The others need not wait for it.
        task.Fail(Error(v1::REASON_INTERNAL, "waiting for the tenant: another provisioner is at work on it"));
        return task.TakeNote();
      }
      LH_RETURN_IF_ERROR(Pause({.go_on = context.go_on}, kTenantPause));
    }
    absl::StatusOr<std::string> why_not = WhyNot(central, database);
    if (!why_not.ok()) return Explain(why_not.status(), "looking at the tenant");
    if (!why_not->empty()) {
      task.Skip(*why_not);
      return task.TakeNote();
    }
  }
  LH_RETURN_IF_ERROR(task.Run());
  return task.TakeNote();
}

}  // namespace leasehold::provisioner
