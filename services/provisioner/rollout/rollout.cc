#include "services/provisioner/rollout/rollout.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/provisioner/steps/silent_holder.h"

namespace leasehold::provisioner {
namespace {

constexpr std::string_view kLock = "1818784367";  // "lhro"
constexpr std::string_view kTakeLock = "SELECT pg_try_advisory_lock($1)";
constexpr std::string_view kUnlock = "SELECT pg_advisory_unlock($1)";
constexpr std::string_view kByLock = "l.classid = 0 AND l.objid = $1::oid AND l.objsubid = 1";
constexpr absl::Duration kFailedPause = absl::Seconds(1);
// One that begins by itself meets a file that fails at few tenants; what has passed there is tried in every database.
constexpr int kAutomaticWaves[] = {1, 10};
constexpr int kAutomaticBudget = 1'000'000;

// Somebody has a word to say before anything is applied again.
bool IsUpToSomebody(const v1::MigrationRun& run) {
  if (run.spec().kind() == v1::MIGRATION_KIND_UNDO) return true;
  if (run.state() == v1::MIGRATION_RUN_STATE_CANCELLED) return true;
  return run.state() != v1::MIGRATION_RUN_STATE_SUCCEEDED && !run.spec().automatic();
}

}  // namespace

Rollout::Rollout(Options options, Parts parts)
    : options_(std::move(options)),
      library_(options_.library),
      parts_(std::move(parts)),
      store_(parts_.central, parts_.clock, parts_.instance.service()),
      metrics_(parts_.metrics) {}

void Rollout::Run() {
  std::string said;
  while (!thread_.Stopping()) {
    const absl::StatusOr<bool> worked = WorkOne();
    if (worked.ok()) {
      said.clear();
    } else if (ReasonOf(worked.status()) != v1::REASON_SHUTTING_DOWN && said != ClientText(worked.status())) {
      said = ClientText(worked.status());
      Log(Level::kWarning, "migration runs cannot be worked on now", {{"error", said}});
    }
    if (parts_.clock.Now() >= counted_ + options_.count_interval && CountBehind().ok()) counted_ = parts_.clock.Now();
    if (worked.ok() && *worked) continue;
    // After a failure also when woken: whoever wakes would spin.
    if (worked.ok()) {
      thread_.Rest(options_.interval, WorkerThread::Until::kWoken);
    } else {
      thread_.Rest(kFailedPause, WorkerThread::Until::kStopping);
    }
  }
}

absl::StatusOr<bool> Rollout::WorkOne() {
  const absl::StatusOr<bool> worked = WorkOnRun();
  if (!worked.ok()) return Explain(worked.status(), "looking for migration runs");
  return worked;
}

absl::StatusOr<bool> Rollout::WorkOnRun() {
  // Tenants that this provisioner makes from now on are to have what the run brings to the others, whoever works on it.
  LH_ASSIGN_OR_RETURN(const int64_t newest, store_.NewestNumber());
  if (std::exchange(newest_run_, newest) != newest) (void)Reload();
  LH_ASSIGN_OR_RETURN(std::optional<StoredRun> run, store_.Running());
  const bool may_begin = options_.automatic && !began_;
  if (!run.has_value() && !may_begin) return false;
  postgres::Connection holder(parts_.instance.AsLogin(parts_.instance.central_database()));
  LH_ASSIGN_OR_RETURN(const pqxx::result held, holder.ExecAlone(kTakeLock, {std::string(kLock)}));
  if (!held[0][0].as<bool>()) {
    LH_RETURN_IF_ERROR(EndSilentHolder(holder, {.condition = kByLock, .parameter = std::string(kLock)}));
    return false;
  }
  holder.Stay(true);
  // As it is now that nobody else works on it.
  LH_ASSIGN_OR_RETURN(run, store_.Running());
  if (!run.has_value() && may_begin) {
    LH_RETURN_IF_ERROR(BeginAutomatic());
    LH_ASSIGN_OR_RETURN(run, store_.Running());
  }
  if (!run.has_value()) return false;
  // A run that another provisioner took in may be of newer files than were read here.
  (void)Reload();
  const FleetMigrations files_now = files();
  RunStore fenced(holder, parts_.clock, parts_.instance.service());
  Conductor conductor({.instance = parts_.instance,
                       .files = files_now,
                       .store = fenced,
                       .clock = parts_.clock,
                       .metrics = metrics_,
                       .retention = options_.retention,
                       .parallelism = options_.parallelism,
                       .stopping = [this] { return thread_.Stopping(); },
                       .on_status = parts_.on_status},
                      *std::move(run), holder);
  metrics_.SetRunning(true);
  const absl::Status status = conductor.Run();
  metrics_.SetRunning(false);
  // Now: a server process outlives its client by a moment, in which the next run would find the lock held.
  (void)holder.ExecAlone(kUnlock, {std::string(kLock)});
  // Cancelled: the next look finds it so, and ends it.
  if (ReasonOf(status) == v1::REASON_CANCELLED) return true;
  LH_RETURN_IF_ERROR(status);
  return true;
}

absl::Status Rollout::CountBehind() {
  const absl::StatusOr<std::vector<FleetDatabase>> fleet = ListFleet(*parts_.central.Take(), parts_.instance);
  LH_RETURN_IF_ERROR(fleet.status());
  const FleetMigrations files_now = files();
  metrics_.SetBehind(static_cast<int>(std::ranges::count_if(
      *fleet, [&](const FleetDatabase& database) { return !PendingFor(database, files_now).empty(); })));
  return absl::OkStatus();
}

absl::Status Rollout::BeginAutomatic() {
  const absl::StatusOr<std::vector<FleetDatabase>> fleet = ListFleet(*parts_.central.Take(), parts_.instance);
  LH_RETURN_IF_ERROR(fleet.status());
  LH_ASSIGN_OR_RETURN(const std::optional<StoredRun> last, store_.LastThatWrites());
  began_ = true;
  const FleetMigrations files_now = files();
  const bool behind = std::ranges::any_of(*fleet, [&files_now](const FleetDatabase& database) {
    return database.finished && !database.tenant.empty() && !PendingFor(database, files_now).empty();
  });
  if (!behind) return absl::OkStatus();
  if (last.has_value() && IsUpToSomebody(last->run)) {
    Log(Level::kWarning, "databases are behind, and no run begins by itself after the last one; resume it, or apply",
        {{"run", last->run.id()},
         {"kind", v1::MigrationKind_Name(last->run.spec().kind())},
         {"state", v1::MigrationRunState_Name(last->run.state())}});
    return absl::OkStatus();
  }
  v1::MigrationSpec spec;
  spec.set_service(parts_.instance.service().str());
  spec.set_kind(v1::MIGRATION_KIND_APPLY);
  spec.set_automatic(true);
  spec.mutable_selection()->set_without_central(true);
  for (const int percent : kAutomaticWaves) spec.add_waves(percent);
  spec.set_failure_budget(kAutomaticBudget);
  spec.set_ignore_findings(true);
  return store_.Create(spec, FilesOf(files_now), "").status();
}

}  // namespace leasehold::provisioner
