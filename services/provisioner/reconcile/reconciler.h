// Makes the instance match what is desired, tenant by tenant, for as long as it runs: level-triggered, fenced by
// generation. What is desired comes from events (Want) and from the registry (at start, on a timer, and whenever
// something came back); what is observed from the instance itself. Events are hints and fence older events only: what
// the registry lists counts, also against a higher generation.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/postgres/postgres.h"
#include "common/postgres/wait_watch.h"
#include "common/telemetry/metrics.h"
#include "leasehold/v1/event.pb.h"
#include "services/provisioner/archive/copy_meter.h"
#include "services/provisioner/drift/rounds.h"
#include "services/provisioner/migrations/library.h"
#include "services/provisioner/reconcile/dependency.h"
#include "services/provisioner/reconcile/desired_source.h"
#include "services/provisioner/reconcile/heartbeat.h"
#include "services/provisioner/reconcile/plan.h"
#include "services/provisioner/reconcile/turns.h"
#include "services/provisioner/reconcile/work_queue.h"
#include "services/provisioner/spares/claim.h"
#include "services/provisioner/state/newcomer_files.h"
#include "services/provisioner/state/records.h"
#include "services/provisioner/steps/instance.h"
#include "services/provisioner/steps/observe.h"
#include "services/provisioner/steps/tenant_database.h"

namespace leasehold::provisioner {

class Reconciler {
 public:
  struct Options {
    absl::Duration resync_interval = absl::Seconds(30);
    absl::Duration min_backoff = absl::Milliseconds(500);
    absl::Duration max_backoff = absl::Minutes(1);
    int parallelism = 4;
    // A database is looked into about as often as this many passes, at least.
    int passes_between_inspections = 10;
    NewcomerFiles tenant_migrations{};
    SharedMigrations central_migrations{};
    std::string backup_folder{};  // empty: none
    // Databases that are in place and open are brought to the newest version in passing. False: runs over the fleet do
    // that (rollout/).
    bool migrates_in_place = true;
    // The same of the central database, once it has been migrated.
    bool keeps_central = false;
  };
  struct Parts {
    const Instance& instance;
    // Connections of the provisioner's login to the central database; more than `parallelism`, because a worker holds
    // one while it uses `records`.
    postgres::ConnectionPool& central;
    Records& records;
    DesiredSource& desired;
    Dependency& instance_health;
    Dependency& gateway_health;
    const Clock& clock;
    Metrics& metrics;
    std::function<void()> on_status;  // there is something to report; any thread, must not block
    // The same of one status that is known here and now. Empty: on_status.
    std::function<void(TenantRecord)> on_settled{};
    // How far a tenant's restore or clone is. As on_status; empty: nobody wants to know.
    std::function<void(const TenantId&, const v1::CopyStatus&)> on_copying{};
    // The central database is there, for the first time: before it, nothing of `records` is. Once, on a thread of the
    // reconciler's. Empty: nobody waits for it.
    std::function<void()> on_prepared{};
    std::function<void(bool found)>
        on_claim{};  // as Claims::Parts; empty: nobody keeps spares, and none are looked for
  };
  Reconciler(Options options, Parts parts);
  ~Reconciler();  // Stop()

  // Workers and passes on threads of their own.
  void Start();
  // No new work; the steps under way end. False if some still run after `patience`: the process should just exit.
  bool Stop(absl::Duration patience = absl::InfiniteDuration());

  // Any thread; blocks. OK once the desire is recorded, or was overtaken already; UNAVAILABLE while the instance does
  // not answer or the central database is not prepared yet.
  absl::Status Want(const TenantId& id, const Desire& desire);

  // Looks at everything soon. Any thread.
  void RequestPass();

  // Whether all tenants have been compared with what should be, once at least. Any thread.
  bool compared() const { return compared_.load(std::memory_order_relaxed); }

  // Waits until the central database is prepared and no tenant is due or worked on, but for copies; true if so. False
  // after `patience` or Stop(). Any thread.
  bool AwaitQuiet(absl::Duration patience) ABSL_LOCKS_EXCLUDED(mu_);

  // What the threads do, for tests without them. Prepare: the central database; needed once, before all else.
  absl::Status Prepare();
  // Compares everything and queues what differs. OK also if the gateway did not answer (then by the records alone).
  absl::Status Pass();
  // Works on one tenant that is due; false if none is.
  bool WorkOne();
  // Queues what is due by the records, whoever learned of it, and requests a pass if something waits for the registry's
  // word: another provisioner may have died since.
  absl::Status TakeOver();

 private:
  Standard StandardNow() const;
  // What a burst of tenants has left open on the instance.
  void CloseIdle();
  // Passes and steps note how the instance is when they end; one that stands still ends none.
  void NoteAnswer(const absl::Status& answer);
  void NoteSilence();
  // Statements get no answer though the instance is well: what they wait for; "": no more.
  void NoteWait(const std::string& what);
  void RunWorker() ABSL_LOCKS_EXCLUDED(mu_);
  void RunPasses() ABSL_LOCKS_EXCLUDED(mu_);
  // Until `time` is over or a pass is requested, taking over now and then; shorter if something was mended. False when
  // stopping.
  bool Sleep(absl::Duration time) ABSL_LOCKS_EXCLUDED(mu_);
  bool Stopping() const { return stopping_.load(std::memory_order_relaxed); }

  // Of what keeps this provisioner from its passes, for `leasehold doctor`.
  void Tell(const absl::Status& trouble);
  // Records::Want, or Claims::Want if there are spares; what is left to do is queued. True if the record changed.
  absl::StatusOr<bool> Record(const TenantId& id, const Desire& desire,
                              std::optional<int64_t> overrules = std::nullopt);
  void Settled(const TenantRecord& before, const TenantRecord& now);
  // True if records may have changed.
  absl::StatusOr<bool> ApplyListed(const v1::DesiredTenant& listed, const std::map<TenantId, TenantRecord>& records);
  // Its data are gone, though the registry counts on them.
  void NoteForgotten(const TenantId& id, std::string_view why);
  void CountUnlisted(std::span<const v1::DesiredTenant> listed, const std::map<TenantId, TenantRecord>& records);
  void CountOutdated(const std::map<TenantId, TenantRecord>& records, const Standard& standard);
  // `listed` has an older generation than `record`, which is as it was before the listing began.
  absl::StatusOr<bool> Overrule(const TenantRecord& record, const v1::DesiredTenant& listed);
  void Look(const TenantId& id);
  // Not OK only if the records could not be reached.
  absl::Status LookAt(const TenantId& id);
  // False: another provisioner is at work on it.
  absl::StatusOr<bool> Attempt(const TenantRecord& record, Work work, const ObservedTenant& observed,
                               postgres::Connection& central, Outcome& outcome);
  void TellCopied(const TenantRecord& record, const Copied& copied);
  absl::Status GoOn(const TenantRecord& record, Work work);
  absl::Status Conclude(const TenantRecord& record, Work work, const absl::Status& status, Outcome outcome);
  absl::Duration BackoffFor(int attempt) ABSL_LOCKS_EXCLUDED(mu_);

  const Options options_;
  const Parts parts_;
  const std::string role_key_;
  const NewcomerFiles newcomers_;
  const CurrentStandard standard_;
  WorkQueue queue_;
  // Of each kind half of the workers at most. Copies take long; and PostgreSQL makes every DROP DATABASE wait for
  // log-ins that are under way on the instance, whoever's: up to its authentication_timeout for one that stands still.
  Turns fills_;
  Turns drops_;
  InstanceObserver observer_;  // the passes' thread
  Rounds rounds_;
  std::optional<Claims> claims_;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> compared_ = false;
  std::atomic<bool> prepared_ = false;
  std::atomic<bool> gateway_answered_ = false;
  std::atomic<int> unreachable_ = 0;  // looks in a row that did not reach the records

  absl::Mutex mu_;
  Backoff backoff_ ABSL_GUARDED_BY(mu_);
  bool pass_requested_ ABSL_GUARDED_BY(mu_) = false;
  std::set<TenantId> failed_ ABSL_GUARDED_BY(mu_);  // whose last attempt here did
  bool mended_ ABSL_GUARDED_BY(mu_) = false;        // one of them, since the last pass: its findings may be of the past
  int running_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<std::thread> threads_;
  std::optional<Heartbeat> heartbeat_;
  std::string waits_for_;  // NoteWait's
  std::optional<postgres::WaitWatch> wait_watch_;

  prometheus::Histogram& provisioning_seconds_;
  prometheus::Counter& passes_;
  prometheus::Counter& recreated_;
  prometheus::Gauge& unlisted_;
  prometheus::Gauge& waits_;
  const Metrics::Handle queue_metrics_;
};

}  // namespace leasehold::provisioner
