// One run, from where it is to its end: lists the databases, looks for what is in the way, works wave by wave with
// several databases at once, and stops when too many failed.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/postgres/postgres.h"
#include "services/provisioner/rollout/database_task.h"
#include "services/provisioner/rollout/findings.h"
#include "services/provisioner/rollout/fleet.h"
#include "services/provisioner/rollout/reference.h"
#include "services/provisioner/rollout/run_metrics.h"
#include "services/provisioner/rollout/run_store.h"
#include "services/provisioner/steps/instance.h"

namespace leasehold::provisioner {

class Conductor {
 public:
  struct Parts {
    const Instance& instance;
    const FleetMigrations& files;
    RunStore& store;  // over `holder`
    const Clock& clock;
    RunMetrics& metrics;
    RunRetention retention{};
    int parallelism = 4;                // where the run does not say
    std::function<bool()> stopping{};   // the provisioner is shutting down; any thread
    std::function<void()> on_status{};  // tenants' versions have changed; once a wave
  };
  // `holder`: a connection of the provisioner's login to the central database that stays, and holds the lock of runs:
  // when it breaks, somebody else may take the run up.
  Conductor(Parts parts, StoredRun run, postgres::Connection& holder);

  // OK when the run has ended, however. Else it is to be taken up again: SHUTTING_DOWN, or the central database could
  // not be reached.
  absl::Status Run();

 private:
  using Work = std::function<absl::StatusOr<TaskNote>(const Turn& turn, postgres::Connection& central)>;

  v1::MigrationKind kind() const { return stored_.run.spec().kind(); }
  int Parallelism() const;
  // False: its files are not as they were, and the run has ended, or is left to a provisioner that has them.
  absl::StatusOr<bool> HasItsFiles();
  absl::Status DropScratch();
  absl::Status List();
  // False: something is in the way, and the run has ended.
  absl::StatusOr<bool> Check();
  // Inside those of the first waves; of UNDO inside all.
  absl::Status InspectInside(Findings& findings);
  absl::Status MakeReferences();
  absl::Status WorkThrough();
  // Databases that may fail in it before the run is stopped.
  int BudgetOf(int wave) const;
  // Databases that have come, or come again, since the run was listed; true if there are any.
  absl::StatusOr<bool> AddLateComers();
  absl::Status End();
  // What is to be said besides of one that succeeded.
  absl::StatusOr<std::string> Remark(const v1::MigrationRun& run);
  absl::Status Finish(v1::MigrationRunState state, const std::string& message);

  // Runs `work` on each, several at once, until one returns an error, `enough_` or a word from outside; notes what
  // becomes of them if `notes`. What `work` leaves pending comes a second time, after all others.
  absl::Status ForEach(std::span<const FleetDatabase> databases, const Work& work, bool notes);
  void WorkOff(const Work& work, bool notes);
  void Put(TaskNote note) ABSL_LOCKS_EXCLUDED(mu_);
  void Failed(const FleetDatabase& database, const TaskNote& note);
  absl::Status Flush() ABSL_LOCKS_EXCLUDED(mu_);
  // Is the run still wanted, and ours?
  void Listen() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status GoOn() const;

  const Parts parts_;
  StoredRun stored_;
  const FleetMigrations files_;  // as they are now; those that have come since are none of the run's
  postgres::Connection& holder_;
  postgres::Connection central_;
  References references_;
  int last_wave_ = 0;
  int failed_ = 0;  // before this wave, without the forgiven
  int budget_ = 0;  // of the present wave
  std::atomic<bool> cancelled_ = false;
  std::atomic<bool> lost_ = false;
  std::atomic<bool> enough_ = false;

  absl::Mutex mu_;
  std::deque<Turn> turns_ ABSL_GUARDED_BY(mu_);
  int working_ ABSL_GUARDED_BY(mu_) = 0;
  int failures_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Status error_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, TaskNote> notes_ ABSL_GUARDED_BY(mu_);  // by database id; not written yet
};

}  // namespace leasehold::provisioner
