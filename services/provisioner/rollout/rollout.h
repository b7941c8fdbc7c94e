// Keeps the runs of a service going, for as long as the provisioner runs: whichever of the service's provisioners holds
// the lock of runs works on the one that is under way; so one that was killed is followed by another, or by itself.
#pragma once

#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
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
    // Begins a run when it starts, if databases are behind the files.
    bool automatic = false;
    absl::Duration tenant_patience = absl::Seconds(30);  // for whoever else is at work on a tenant
    absl::Duration interval = absl::Seconds(2);          // between looks for runs that somebody else's end has left
  };
  struct Parts {
    const Instance& instance;
    postgres::ConnectionPool& central;  // one connection is used at a time, and one for each call
    const Clock& clock;
    Metrics& metrics;
    std::function<void()> on_status{};  // tenants' versions have changed; any thread, must not block
  };
  Rollout(Options options, Parts parts);
  ~Rollout();  // Stop()

  void Start();
  void RequestStop();
  // What runs is taken up again at the next start. False if a statement still runs after `patience`.
  bool Stop(absl::Duration patience = absl::InfiniteDuration());
  // There may be a run. Any thread; does not block.
  void Wake();

  RunStore& store() { return store_; }
  // As they are in the folder now; what cannot be read leaves them as they were, and is told by Reload().
  absl::Status Reload() { return library_.Reload(); }
  FleetMigrations files() const { return {.tenant = library_.tenant(), .central = library_.central()}; }
  const Instance& instance() const { return parts_.instance; }
  postgres::ConnectionPool& central() { return parts_.central; }

  // What the thread does, for tests without it: works on the run that is under way, to its end; false if there is none,
  // or somebody else has it.
  absl::StatusOr<bool> WorkOne();

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  bool Stopping() const ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status BeginAutomatic();

  const Options options_;
  MigrationLibrary library_;
  const Parts parts_;
  RunStore store_;
  // The thread's.
  bool began_ = false;  // BeginAutomatic() has been through
  int64_t newest_run_ = 0;

  mutable absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
  bool running_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace leasehold::provisioner
