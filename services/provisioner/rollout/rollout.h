// Keeps the runs of a service going, for as long as the provisioner runs: whichever of the service's provisioners holds
// the lock of runs works on the one that is under way; so one that was killed is followed by another, or by itself.
#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/executor/worker_thread.h"
#include "common/postgres/postgres.h"
#include "common/telemetry/metrics.h"
#include "services/provisioner/migrations/library.h"
#include "services/provisioner/rollout/conductor.h"
#include "services/provisioner/rollout/fleet.h"
#include "services/provisioner/rollout/run_store.h"
#include "services/provisioner/steps/instance.h"

namespace leasehold::provisioner {

class Rollout {
 public:
  struct Options {
    MigrationLibrary library{};
    int parallelism = 4;
    // Begins a run when it starts, if databases are behind the files and nobody has left one unfinished.
    bool automatic = false;
    RunRetention retention{};
    absl::Duration interval = absl::Seconds(2);         // between looks for runs that somebody else's end has left
    absl::Duration count_interval = absl::Seconds(15);  // between counts of databases that are behind
  };
  struct Parts {
    const Instance& instance;
    postgres::ConnectionPool& central;  // one connection is used at a time, and one for each call
    const Clock& clock;
    Metrics& metrics;
    std::function<void()> on_status{};  // tenants' versions have changed; any thread, must not block
  };
  Rollout(Options options, Parts parts);
  void Start() {
    thread_.Start([this] { Run(); });
  }
  void RequestStop() { thread_.RequestStop(); }
  // What runs is taken up again at the next start. False if a statement still runs after `patience`.
  bool Stop(absl::Duration patience = absl::InfiniteDuration()) { return thread_.Stop(patience); }
  // There may be a run. Any thread; does not block.
  void Wake() { thread_.Wake(); }

  RunStore& store() { return store_; }
  // As they are in the folder now; what cannot be read leaves them as they were, and is told by Reload().
  absl::Status Reload() { return library_.Reload(); }
  FleetMigrations files() const { return {.tenant = library_.tenant(), .central = library_.central()}; }
  const Instance& instance() const { return parts_.instance; }
  postgres::ConnectionPool& central() { return parts_.central; }

  // What the thread does, for tests without it: works on the run that is under way, to its end; false if there is none,
  // or somebody else has it.
  absl::StatusOr<bool> WorkOne();
  // How many databases lack files, for /metrics.
  absl::Status CountBehind();

 private:
  void Run();
  absl::StatusOr<bool> WorkOnRun();
  absl::Status BeginAutomatic();

  const Options options_;
  MigrationLibrary library_;
  const Parts parts_;
  RunStore store_;
  RunMetrics metrics_;
  // The thread's.
  bool began_ = false;  // BeginAutomatic() has been through
  int64_t newest_run_ = 0;
  absl::Time counted_ = absl::InfinitePast();

  WorkerThread thread_;  // last: it uses the others until it has ended
};

}  // namespace leasehold::provisioner
