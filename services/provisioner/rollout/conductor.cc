#include "services/provisioner/rollout/conductor.h"

#include <algorithm>
#include <format>
#include <set>
#include <thread>
#include <utility>

#include "common/config/config.h"
#include "common/failpoint/failpoint.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "common/telemetry/log.h"

namespace leasehold::provisioner {
namespace {

constexpr size_t kDatabaseIdBytes = 8;
constexpr size_t kMostFindings = 200;
// What has happened is written at most so often, many databases at once; so is whether somebody cancelled read.
constexpr absl::Duration kFlushEvery = absl::Milliseconds(250);
// How long a run whose files this provisioner does not have is left to others of the service.
constexpr absl::Duration kFilesPatience = absl::Seconds(15);

bool Writes(v1::MigrationKind kind) { return kind == v1::MIGRATION_KIND_APPLY || kind == v1::MIGRATION_KIND_UNDO; }

bool OnlyBehind(v1::MigrationKind kind) {
  return kind == v1::MIGRATION_KIND_APPLY || kind == v1::MIGRATION_KIND_DRY_RUN;
}

std::string Counted(int number, std::string_view noun) {
  return std::format("{} {}{}", number, noun, number == 1 ? "" : "s");
}

}  // namespace

Conductor::Conductor(Parts parts, StoredRun run, postgres::Connection& holder)
    : parts_(std::move(parts)),
      stored_(std::move(run)),
      files_(LimitedTo(stored_.run, parts_.files)),
      holder_(holder),
      central_(parts_.instance.AsLogin(parts_.instance.central_database())),
      references_(parts_.instance, files_, central_) {}

int Conductor::Parallelism() const {
  const int asked = stored_.run.spec().parallelism();
  return std::clamp(asked == 0 ? parts_.parallelism : asked, 1, 64);
}

absl::Status Conductor::Run() {
  LH_RETURN_IF_ERROR(DropScratch());
  if (stored_.cancelled) return Finish(v1::MIGRATION_RUN_STATE_CANCELLED, "cancelled");
  LH_ASSIGN_OR_RETURN(const bool has_files, HasItsFiles());
  if (!has_files) return absl::OkStatus();
  Log(Level::kInfo, "migration run", {{"run", stored_.run.id()}, {"kind", v1::MigrationKind_Name(kind())}});
  if (stored_.phase == RunPhase::kListing) LH_RETURN_IF_ERROR(List());
  if (stored_.phase == RunPhase::kChecking) {
    LH_ASSIGN_OR_RETURN(const bool clear, Check());
    if (!clear) return absl::OkStatus();
  }
  if (kind() == v1::MIGRATION_KIND_VERIFY) LH_RETURN_IF_ERROR(MakeReferences());
  LH_RETURN_IF_ERROR(WorkThrough());
  return End();
}

absl::StatusOr<bool> Conductor::HasItsFiles() {
  const std::string difference = DifferenceFrom(stored_.run, files_);
  if (difference.empty()) return true;
  if (parts_.clock.Now() - ToTime(stored_.run.update_time()) < kFilesPatience) {
    return WithRetryAfter(Error(v1::REASON_MIGRATION_FAILED, "the run is of other files than this provisioner's"),
                          absl::Seconds(1));
  }
  LH_RETURN_IF_ERROR(Finish(v1::MIGRATION_RUN_STATE_STOPPED,
                            std::format("the files are no longer those that the run began with: {}", difference)));
  return false;
}

absl::Status Conductor::DropScratch() {
  if (stored_.scratch.empty()) return absl::OkStatus();
  LH_RETURN_IF_ERROR(references_.Drop(stored_.scratch));
  stored_.scratch.clear();
  return parts_.store.SetScratch(stored_.number, "");
}

absl::Status Conductor::List() {
  LH_RETURN_IF_ERROR(parts_.store.ForgetGone());
  LH_ASSIGN_OR_RETURN(std::vector<FleetDatabase> fleet, ListFleet(central_, parts_.instance));
  const v1::MigrationSpec& spec = stored_.run.spec();
  Differences differences(files_);
  std::erase_if(fleet, [&](const FleetDatabase& database) {
    if (!IsSelected(spec.selection(), database)) return true;
    if (!database.finished) return kind() != v1::MIGRATION_KIND_REPAIR;
    // One that differs has nothing pending perhaps, and is not as the files are for all that.
    return OnlyBehind(kind()) && PendingFor(database, files_).empty() && !differences.Has(database);
  });
  stored_.run.set_waves(AssignWaves(spec, fleet));
  LH_FAILPOINT("before recording what a run is about");
  LH_RETURN_IF_ERROR(parts_.store.AddTasks(stored_.number, fleet));
  LH_FAILPOINT("after recording what a run is about");
  stored_.phase = RunPhase::kChecking;
  return parts_.store.SetPhase(stored_.number, stored_.phase, "looking for what is in the way");
}

absl::StatusOr<bool> Conductor::Check() {
  Findings findings;
  if (Writes(kind()) || kind() == v1::MIGRATION_KIND_PREFLIGHT || kind() == v1::MIGRATION_KIND_DRY_RUN) {
    LH_ASSIGN_OR_RETURN(std::vector<FleetDatabase> databases, parts_.store.Unfinished(stored_.number));
    absl::StatusOr<Findings> found = InspectFleet(central_, parts_.instance, databases, files_, Parallelism());
    if (!found.ok()) return Explain(found.status(), "looking at the instance");
    findings = *std::move(found);
    // PREFLIGHT reads the history of each database.
    if (kind() != v1::MIGRATION_KIND_PREFLIGHT) {
      for (v1::MigrationFinding& finding : InspectHistories(parts_.instance, databases, files_)) {
        findings.push_back(std::move(finding));
      }
    }
    // Each run would say it anew.
    if (kind() != v1::MIGRATION_KIND_PREFLIGHT) {
      std::erase_if(findings, [](const auto& finding) { return finding.severity() == v1::MIGRATION_SEVERITY_NOTE; });
    }
  }
  if (Writes(kind()) && !HasError(findings)) LH_RETURN_IF_ERROR(InspectInside(findings));
  // Those of a look before it was resumed.
  stored_.run.clear_findings();
  for (const v1::MigrationFinding& finding : std::span(findings).first(std::min(findings.size(), kMostFindings))) {
    *stored_.run.add_findings() = finding;
  }
  LH_RETURN_IF_ERROR(parts_.store.SetFindings(stored_.number, stored_.run));
  LH_FAILPOINT("after looking for what is in the way");
  if (Writes(kind()) && HasError(findings) && !stored_.run.spec().ignore_findings()) {
    LH_RETURN_IF_ERROR(
        Finish(v1::MIGRATION_RUN_STATE_STOPPED, std::format("nothing was written: {}", FirstError(findings))));
    return false;
  }
  stored_.phase = RunPhase::kWorking;
  LH_RETURN_IF_ERROR(parts_.store.SetPhase(stored_.number, stored_.phase, ""));
  return true;
}

absl::Status Conductor::InspectInside(Findings& findings) {
  LH_ASSIGN_OR_RETURN(std::vector<FleetDatabase> databases, parts_.store.Unfinished(stored_.number));
  if (databases.empty()) return absl::OkStatus();
  v1::MigrationSpec spec = stored_.run.spec();
  if (kind() == v1::MIGRATION_KIND_APPLY) {
    // The whole fleet is what PREFLIGHT and DRY_RUN are for.
    const int last = databases.back().wave;
    std::erase_if(databases, [last](const FleetDatabase& database) { return database.wave == last; });
    spec.set_kind(v1::MIGRATION_KIND_PREFLIGHT);
  }
  const TaskContext context{.instance = parts_.instance,
                            .files = files_,
                            .spec = spec,
                            .undo = spec.undo_run(),
                            .only_looks = true,
                            .go_on = [this] { return GoOn(); }};
  absl::Mutex mu;
  return ForEach(
      databases,
      [&](const Turn& turn, postgres::Connection& central) -> absl::StatusOr<TaskNote> {
        LH_ASSIGN_OR_RETURN(const TaskNote note, RunTask(context, turn, central));
        const absl::MutexLock lock(&mu);
        for (const v1::MigrationFinding& finding : note.report.findings()) findings.push_back(finding);
        if (note.state == v1::MIGRATION_TASK_STATE_FAILED) {
          findings.push_back(MakeFinding(v1::MIGRATION_SEVERITY_ERROR, "unreachable", turn.database->database,
                                         turn.database->database, note.report.failure().message(),
                                         "`leasehold doctor`"));
        }
        return note;
      },
      /*notes=*/false);
}

absl::Status Conductor::MakeReferences() {
  LH_ASSIGN_OR_RETURN(const std::vector<FleetDatabase> databases, parts_.store.Unfinished(stored_.number));
  std::set<std::pair<bool, int>> wanted;
  for (const FleetDatabase& database : databases) wanted.emplace(!database.tenant.empty(), database.version);
  if (wanted.empty()) return absl::OkStatus();
  stored_.scratch = RandomHex(kDatabaseIdBytes);
  LH_RETURN_IF_ERROR(parts_.store.SetScratch(stored_.number, stored_.scratch));
  const absl::Status made = references_.Make(wanted, stored_.scratch, [this] {
    Listen();
    return GoOn();
  });
  LH_RETURN_IF_ERROR(DropScratch());
  if (ReasonOf(made) != v1::REASON_MIGRATION_FAILED) return made;
  // The files themselves do not work; histories can be compared all the same.
  Log(Level::kWarning, "no database could be made to compare others with", {{"error", ClientText(made)}});
  return absl::OkStatus();
}

absl::Status Conductor::WorkThrough() {
  const v1::MigrationSpec& spec = stored_.run.spec();
  const TaskContext context{.instance = parts_.instance,
                            .files = files_,
                            .spec = spec,
                            .run = stored_.run.id(),
                            .undo = spec.undo_run(),
                            .references = &references_,
                            .go_on = [this] { return GoOn(); }};
  LH_ASSIGN_OR_RETURN(const StoredRun now, parts_.store.Get(stored_.number));
  failed_ = std::max(0, now.run.failed() - stored_.forgiven);
  last_wave_ = now.run.waves();
  // Whoever worked on it before may have died between the failure and the end.
  if (failed_ > BudgetOf(now.run.wave())) return absl::OkStatus();
  while (true) {
    LH_ASSIGN_OR_RETURN(std::vector<FleetDatabase> databases, parts_.store.Unfinished(stored_.number));
    if (databases.empty()) {
      if (kind() != v1::MIGRATION_KIND_APPLY) return absl::OkStatus();
      LH_ASSIGN_OR_RETURN(const bool more, AddLateComers());
      if (!more) return absl::OkStatus();
      continue;
    }
    const int wave = databases.front().wave;
    std::erase_if(databases, [wave](const FleetDatabase& database) { return database.wave != wave; });
    budget_ = BudgetOf(wave);
    enough_ = false;
    LH_RETURN_IF_ERROR(parts_.store.SetWave(stored_.number, wave));
    LH_RETURN_IF_ERROR(ForEach(
        databases, [&](const Turn& turn, postgres::Connection& central) { return RunTask(context, turn, central); },
        /*notes=*/true));
    if (enough_) return absl::OkStatus();
  }
}

int Conductor::BudgetOf(int wave) const {
  // A look is for finding all there is.
  return wave < last_wave_ && Writes(kind()) ? 0 : stored_.run.spec().failure_budget();
}

absl::StatusOr<bool> Conductor::AddLateComers() {
  LH_ASSIGN_OR_RETURN(std::vector<FleetDatabase> fleet, ListFleet(central_, parts_.instance));
  LH_ASSIGN_OR_RETURN(const StoredRun before, parts_.store.Get(stored_.number));
  for (FleetDatabase& database : fleet) database.wave = std::max(1, before.run.waves());
  std::erase_if(fleet, [&](const FleetDatabase& database) {
    return !database.finished || !IsSelected(stored_.run.spec().selection(), database) ||
           PendingFor(database, files_).empty();
  });
  if (fleet.empty()) return false;
  LH_RETURN_IF_ERROR(parts_.store.AddTasks(stored_.number, fleet));
  LH_ASSIGN_OR_RETURN(const StoredRun after, parts_.store.Get(stored_.number));
  return after.run.pending() > 0;
}

absl::Status Conductor::Finish(v1::MigrationRunState state, const std::string& message) {
  LH_RETURN_IF_ERROR(parts_.store.Finish(stored_.number, state, message));
  parts_.metrics.Ended(state);
  const absl::Status pruned = parts_.store.Prune(parts_.retention);
  if (!pruned.ok()) Log(Level::kWarning, "old migration runs stay", {{"error", StdView(pruned.message())}});
  return absl::OkStatus();
}

absl::Status Conductor::End() {
  LH_ASSIGN_OR_RETURN(const StoredRun stored, parts_.store.Get(stored_.number));
  const v1::MigrationRun& run = stored.run;
  const int left = run.pending() + run.running();
  auto state = v1::MIGRATION_RUN_STATE_SUCCEEDED;
  std::string message;
  if (left > 0) {
    state = v1::MIGRATION_RUN_STATE_STOPPED;
    message = std::format("{} failed, which the budget does not allow; {} not tried", Counted(run.failed(), "database"),
                          Counted(left, "database") + (left == 1 ? " was" : " were"));
  } else if (run.failed() > 0) {
    state = v1::MIGRATION_RUN_STATE_FAILED;
    message = std::format("{} failed", Counted(run.failed(), "database"));
  } else if (kind() == v1::MIGRATION_KIND_REPAIR && run.total() > 0 && run.skipped() == run.total()) {
    state = v1::MIGRATION_RUN_STATE_FAILED;
    LH_ASSIGN_OR_RETURN(const v1::ListMigrationTasksResponse skipped, parts_.store.ListTasks(stored_.number, {}));
    message =
        std::format("nothing was looked at: {}: {}", skipped.tasks(0).database(), skipped.tasks(0).failure().message());
  } else {
    LH_ASSIGN_OR_RETURN(message, Remark(run));
  }
  Log(state == v1::MIGRATION_RUN_STATE_SUCCEEDED ? Level::kInfo : Level::kWarning, "migration run ended",
      {{"run", run.id()},
       {"state", v1::MigrationRunState_Name(state)},
       {"done", std::format("{}", run.done())},
       {"failed", std::format("{}", run.failed())}});
  return Finish(state, message);
}

absl::StatusOr<std::string> Conductor::Remark(const v1::MigrationRun& run) {
  std::string remark = run.total() == 0 ? "there was nothing to do" : "";
  if (kind() == v1::MIGRATION_KIND_UNDO && run.total() > 0) {
    LH_ASSIGN_OR_RETURN(const bool any, parts_.store.AnyWentBack(stored_.number));
    return any ? remark : std::format("nothing that {} applied is there to take back", run.spec().undo_run());
  }
  if (!OnlyBehind(kind())) return remark;
  LH_ASSIGN_OR_RETURN(const std::vector<FleetDatabase> fleet, ListFleet(central_, parts_.instance));
  const auto unfinished = std::ranges::count_if(fleet, [&](const FleetDatabase& database) {
    return !database.finished && IsSelected(run.spec().selection(), database);
  });
  if (unfinished == 0) return remark;
  return std::format("{}{}{} not complete yet: `leasehold migrate status` names them", remark,
                     remark.empty() ? "" : "; ",
                     Counted(static_cast<int>(unfinished), "database") + (unfinished == 1 ? " is" : " are"));
}

absl::Status Conductor::ForEach(std::span<const FleetDatabase> databases, const Work& work, bool notes) {
  const int threads = std::min(Parallelism(), static_cast<int>(databases.size()));
  {
    const absl::MutexLock lock(&mu_);
    turns_.clear();
    for (const FleetDatabase& database : databases) turns_.push_back({.database = &database});
    failures_ = 0;
    working_ = threads;
    error_ = absl::OkStatus();
  }
  absl::Status written;
  {
    std::vector<std::jthread> workers;
    for (int i = 0; i < threads; ++i) workers.emplace_back([&] { WorkOff(work, notes); });
    const auto ended = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return working_ == 0; };
    for (bool over = false; !over;) {
      {
        const absl::MutexLock lock(&mu_);
        over = mu_.AwaitWithTimeout(absl::Condition(&ended), kFlushEvery);
      }
      Listen();
      written = Flush();
      if (!written.ok()) lost_ = true;
    }
  }
  // Not with each bundle: what the registry hears of each tenant costs as much as a small migration.
  if (notes && parts_.on_status) parts_.on_status();
  LH_RETURN_IF_ERROR(written);
  const absl::MutexLock lock(&mu_);
  failed_ += failures_;
  return error_;
}

void Conductor::WorkOff(const Work& work, bool notes) {
  postgres::Connection central(parts_.instance.AsLogin(parts_.instance.central_database()));
  while (true) {
    Turn turn;
    {
      const absl::MutexLock lock(&mu_);
      if (turns_.empty() || !error_.ok() || enough_ || !GoOn().ok()) {
        if (error_.ok()) error_ = GoOn();
        --working_;
        return;
      }
      turn = turns_.front();
      turns_.pop_front();
    }
    const FleetDatabase* const database = turn.database;
    TaskNote begun{.database_id = database->database_id,
                   .state = v1::MIGRATION_TASK_STATE_RUNNING,
                   .from_version = database->version,
                   .to_version = database->version};
    if (notes) Put(begun);
    if (notes) LH_FAILPOINT("before a database's turn");
    absl::StatusOr<TaskNote> note = work(turn, central);
    if (notes) LH_FAILPOINT("after a database's turn");
    if (!note.ok()) {
      begun.state = v1::MIGRATION_TASK_STATE_PENDING;
      if (notes) Put(std::move(begun));
      const absl::MutexLock lock(&mu_);
      if (error_.ok()) error_ = note.status();
    } else if (note->state == v1::MIGRATION_TASK_STATE_PENDING) {
      if (notes) Put(*std::move(note));
      const absl::MutexLock lock(&mu_);
      turns_.push_back({.database = database, .is_last = true});
    } else if (notes) {
      if (note->state == v1::MIGRATION_TASK_STATE_FAILED) Failed(*database, *note);
      Put(*std::move(note));
    }
  }
}

void Conductor::Put(TaskNote note) {
  const absl::MutexLock lock(&mu_);
  notes_[note.database_id] = std::move(note);
}

void Conductor::Failed(const FleetDatabase& database, const TaskNote& note) {
  Log(Level::kWarning, "migration failed in a database",
      {{"database", database.database}, {"error", note.report.failure().message()}});
  const absl::MutexLock lock(&mu_);
  if (failed_ + ++failures_ > budget_) enough_ = true;
}

absl::Status Conductor::Flush() {
  std::map<std::string, TaskNote> notes;
  {
    const absl::MutexLock lock(&mu_);
    notes.swap(notes_);
  }
  std::vector<TaskNote> list;
  for (auto& [id, note] : notes) {
    parts_.metrics.Ended(note.state);
    list.push_back(std::move(note));
  }
  if (list.empty()) return absl::OkStatus();
  LH_FAILPOINT("before noting what became of databases");
  LH_RETURN_IF_ERROR(parts_.store.Note(stored_.number, list));
  LH_FAILPOINT("after noting what became of databases");
  return absl::OkStatus();
}

void Conductor::Listen() {
  const auto asked =
      holder_.ExecAlone("SELECT cancelled FROM leasehold.runs WHERE id = $1", {std::format("{}", stored_.number)});
  if (!asked.ok() || asked->empty()) {
    lost_ = true;
  } else if ((*asked)[0][0].as<bool>()) {
    cancelled_ = true;
  }
}

absl::Status Conductor::GoOn() const {
  if (parts_.stopping && parts_.stopping()) {
    return Error(v1::REASON_SHUTTING_DOWN, "the provisioner is shutting down");
  }
  if (cancelled_) return Error(v1::REASON_CANCELLED, "the run was cancelled");
  if (lost_) return Error(v1::REASON_SUPERSEDED, "the connection to the central database was lost");
  return absl::OkStatus();
}

}  // namespace leasehold::provisioner
