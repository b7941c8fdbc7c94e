// Keeps the stock of spares: makes as many as are asked for lately, finishes or drops what somebody else has left
// half-made, brings old ones up to date, drops what is too much. One thread, so one spare at a time; and it gives way:
// nothing is begun while tenants are worked on, or while spares are being claimed and there are some left.
//
// Of several provisioners of a service one keeps the spares, the one that holds an advisory lock; all claim them. When
// it dies, PostgreSQL lets go of the lock and another takes over.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/executor/worker_thread.h"
#include "common/postgres/postgres.h"
#include "common/telemetry/metrics.h"
#include "services/provisioner/spares/demand.h"
#include "services/provisioner/spares/stock.h"
#include "services/provisioner/state/newcomer_files.h"
#include "services/provisioner/state/standard.h"
#include "services/provisioner/steps/instance.h"
#include "services/provisioner/steps/tenant_database.h"

namespace leasehold::provisioner {

class SpareKeeper {
 public:
  struct Options {
    int min_spares = 0;
    int max_spares = 0;  // 0: none, and those that are there are dropped
    absl::Duration min_backoff = absl::Milliseconds(500);
    absl::Duration max_backoff = absl::Minutes(1);
    NewcomerFiles tenant_migrations{};
  };
  struct Parts {
    const Instance& instance;
    const Clock& clock;
    Metrics& metrics;
    // Waits until no tenant is worked on or due; false if that did not come in so long.
    std::function<bool(absl::Duration patience)> await_quiet;
  };
  SpareKeeper(Options options, Parts parts);

  const Options& options() const { return options_; }

  // Once the central database is prepared; until then rounds fail and are repeated.
  void Start() {
    thread_.Start([this] { Run(); });
  }
  // No new step. Any thread; does not block.
  void RequestStop() { thread_.RequestStop(); }
  // The same; and the step under way ends. False if it still runs after `patience`.
  bool Stop(absl::Duration patience = absl::InfiniteDuration()) { return thread_.Stop(patience); }

  // A tenant was given a spare, or found none. Any thread; does not block.
  void Claimed(bool found);

  // What the thread does, for tests without it. The next chore, if there is one and this is who keeps the spares; false
  // if not. An error is safe to show; what was being made is dropped, or stays to be finished.
  absl::StatusOr<bool> WorkOne();

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  // Until a spare may be made without being in the way; false when stopping.
  bool AwaitTurn() ABSL_LOCKS_EXCLUDED(mu_);

  // Tells by what is missing how many were claimed, by whomever.
  int Target(const std::vector<Spare>& spares) ABSL_LOCKS_EXCLUDED(mu_);
  void Show(const std::vector<Spare>& spares, int target) ABSL_LOCKS_EXCLUDED(mu_);
  // Without those that are stuck.
  std::vector<Spare> Workable(std::vector<Spare> spares);
  // Nothing is made of these files for now: they failed a while ago.
  bool IsVain(const Chore& chore, const Standard& standard) const;
  // OK if fewer files will do.
  absl::Status Failed(const std::string& database_id, const Migrations& migrations, absl::Status status);
  absl::Status Do(const Chore& chore);
  absl::Status Make(const std::string& database_id);
  absl::Status Discard(const std::string& database_id);
  absl::Status RunSteps(const std::string& database_id, std::span<const TenantDatabase::Step> steps,
                        const Migrations& migrations);

  const Options options_;
  const Parts parts_;
  const std::string role_key_;
  postgres::Connection central_;  // the thread's own: it holds the lock
  Demand demand_;
  std::vector<std::string> offered_;  // database ids, as of the last look
  std::map<std::string, absl::Time>
      stuck_{};  // what could be neither finished nor dropped, until when it is left alone

  // Files that no spare could be made of. A spare is not made and dropped again and again to see whether they have
  // become better by themselves.
  std::string vain_digest_{};
  std::string failing_file_{};  // of the last RunSteps()
  int vain_attempts_ = 0;
  absl::Time vain_until_ = absl::InfinitePast();

  absl::Mutex mu_;
  int missed_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Time last_claim_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  bool none_left_ ABSL_GUARDED_BY(mu_) = true;

  prometheus::Gauge& ready_;
  prometheus::Gauge& building_;
  prometheus::Gauge& wanted_;
  prometheus::Histogram& seconds_;

  WorkerThread thread_;  // last: it uses the others until it has ended
};

}  // namespace leasehold::provisioner
