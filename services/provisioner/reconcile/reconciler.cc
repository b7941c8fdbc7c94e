#include "services/provisioner/reconcile/reconciler.h"

#include <algorithm>
#include <format>
#include <utility>

#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/provisioner/state/central.h"

namespace leasehold::provisioner {
namespace {

// Between passes that could not be made whole. Nothing announces that the gateway is back, and a removal may wait for
// its word: so this does not grow to the resync interval, however long it was away.
constexpr absl::Duration kLongestPause = absl::Seconds(1);
// How often to look for what another provisioner left, and how long a desire may be without anybody at it.
constexpr absl::Duration kTakeOverInterval = absl::Seconds(2);
constexpr absl::Duration kTakeOverPatience = absl::Seconds(2);
constexpr int kTakeOverLimit = 1000;

std::string_view LogNameOf(v1::ServiceState state) {
  if (state == v1::SERVICE_STATE_READY) return "tenant database ready";
  return state == v1::SERVICE_STATE_CLOSED ? "tenant database closed" : "tenant database removed";
}

std::vector<prometheus::MetricFamily> QueueFamilies(const WorkQueue::Counts& counts) {
  prometheus::MetricFamily family{.name = "leasehold_provisioner_queue",
                                  .help = "Tenants to be looked at, by what they wait for",
                                  .type = prometheus::MetricType::Gauge,
                                  .metric = {}};
  for (const auto& [state, number] :
       {std::pair("due", counts.due), std::pair("working", counts.working), std::pair("later", counts.later)}) {
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    metric.label = {{.name = "state", .value = state}};
    metric.gauge.value = number;
  }
  return {std::move(family)};
}

}  // namespace

Reconciler::Reconciler(Options options, Parts parts)
    : options_(std::move(options)),
      parts_(std::move(parts)),
      role_key_(parts_.instance.KeyFingerprint()),
      newcomers_(options_.tenant_migrations),
      standard_(newcomers_, role_key_),
      queue_(parts_.clock),
      fills_(std::max(1, options_.parallelism / 2), [this](const TenantId& id) { queue_.Add(id); }),
      drops_(std::max(1, options_.parallelism / 2), [this](const TenantId& id) { queue_.Add(id); }),
      observer_(parts_.instance.service()),
      rounds_({.inspect_after = options_.passes_between_inspections * options_.resync_interval}, parts_.instance,
              parts_.clock, parts_.metrics,
              [this](const std::vector<v1::Finding>& findings) {
                return parts_.desired.ReportFindings(parts_.instance.process(), findings);
              }),
      backoff_(options_.min_backoff, options_.max_backoff),
      provisioning_seconds_(parts_.metrics.Seconds(
          "leasehold_provisioning_seconds", "From learning that a tenant is wanted to its database being ready")),
      passes_(parts_.metrics.Counter("leasehold_provisioner_passes_total",
                                     "Comparisons of all tenants, desired against observed")),
      recreated_(parts_.metrics.Counter("leasehold_provisioner_recreated_total",
                                        "Tenant databases that had vanished and were made again, empty")),
      unlisted_(parts_.metrics.Gauge("leasehold_provisioner_unlisted_tenants",
                                     "Tenants with a database that the registry does not list: announced, and not "
                                     "taken in yet; or forgotten by it")),
      waits_(parts_.metrics.Gauge("leasehold_provisioner_waits",
                                  "1: its statements have waited for long, for a lock or a standby say; 0: they do "
                                  "not")),
      queue_metrics_(parts_.metrics.AddSource([this] { return QueueFamilies(queue_.Count()); })) {
  if (!parts_.on_claim) return;
  const auto standard = [this] {
    if (newcomers_.holds()) (void)newcomers_.Review(*parts_.central.Take());  // what cannot be asked stays as it is
    return StandardNow();
  };
  claims_.emplace(standard, Claims::Parts{.instance = parts_.instance,
                                          .records = parts_.records,
                                          .clock = parts_.clock,
                                          .metrics = parts_.metrics,
                                          .on_claim = parts_.on_claim});
}

Standard Reconciler::StandardNow() const {
  Standard standard = standard_.Get();
  standard.migrates_in_place = options_.migrates_in_place;
  return standard;
}

Reconciler::~Reconciler() { Stop(); }

void Reconciler::Start() {
  {
    const absl::MutexLock lock(&mu_);
    running_ = options_.parallelism + 1;
  }
  heartbeat_.emplace(parts_.instance.AsLogin(parts_.instance.central_database()),
                     Heartbeat::Handlers{.on_beat =
                                             [this](const absl::Status& answer, bool after_silence) {
                                               if (after_silence) NoteAnswer(answer);
                                               CloseIdle();
                                             },
                                         .on_silence = [this] { NoteSilence(); }});
  wait_watch_.emplace(parts_.instance.AsLogin(parts_.instance.central_database()),
                      [this](const std::string& what) { NoteWait(what); });
  threads_.emplace_back([this] { RunPasses(); });
  for (int i = 0; i < options_.parallelism; ++i) threads_.emplace_back([this] { RunWorker(); });
}

void Reconciler::CloseIdle() {
  parts_.central.CloseIdle();
  if (claims_.has_value()) claims_->CloseIdle();
}

void Reconciler::NoteAnswer(const absl::Status& answer) {
  parts_.instance_health.Note(Explain(answer, "asking for a sign of life"));
}

void Reconciler::NoteSilence() {
  const absl::Status silence = Error(v1::REASON_INSTANCE_UNAVAILABLE, "the instance stands still: it does not answer");
  parts_.instance_health.Note(silence);
  Tell(silence);
}

// Told each time: a pass that needs nothing of the kind may have reported that all is well.
void Reconciler::NoteWait(const std::string& what) {
  waits_.Set(what.empty() ? 0 : 1);
  if (what != waits_for_) {
    if (what.empty()) {
      Log(Level::kInfo, "statements are answered again");
    } else {
      Log(Level::kWarning, "statements get no answer", {{"why", what}});
    }
  }
  waits_for_ = what;
  if (what.empty()) {
    RequestPass();
  } else {
    Tell(Error(v1::REASON_INSTANCE_UNAVAILABLE, what));
  }
}

bool Reconciler::Stop(absl::Duration patience) {
  stopping_ = true;
  queue_.Stop();
  {
    const absl::MutexLock lock(&mu_);
    pass_requested_ = true;
    const auto all_ended = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return running_ == 0; };
    if (!mu_.AwaitWithTimeout(absl::Condition(&all_ended), patience)) return false;
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  heartbeat_.reset();
  wait_watch_.reset();
  return true;
}

absl::Status Reconciler::Want(const TenantId& id, const Desire& desire) {
  if (!prepared_) return Error(v1::REASON_INSTANCE_UNAVAILABLE, "the central database is not prepared yet");
  const absl::StatusOr<bool> changed = Record(id, desire);
  if (!changed.ok()) {
    const absl::Status status = Explain(changed.status(), "recording what is wanted");
    parts_.instance_health.Note(status);
    return status;
  }
  if (!*changed) return absl::OkStatus();
  // What destroys waits for the registry's own word: ask for it.
  if (desire.MayDestroy() && !desire.confirmed) RequestPass();
  return absl::OkStatus();
}

absl::StatusOr<bool> Reconciler::Record(const TenantId& id, const Desire& desire, std::optional<int64_t> overrules) {
  Claims::Wanted wanted;
  if (claims_.has_value()) {
    LH_ASSIGN_OR_RETURN(wanted, claims_->Want(id, desire, overrules));
  } else {
    LH_ASSIGN_OR_RETURN(wanted.changed, parts_.records.Want(id, desire, overrules));
  }
  if (wanted.settled.has_value()) {
    // An announced tenant was READY before the registry took it in.
    Settled({.id = id, .state = wanted.claimed ? v1::SERVICE_STATE_PENDING : v1::SERVICE_STATE_READY}, *wanted.settled);
  } else if (wanted.changed) {
    queue_.Add(id);
  }
  return wanted.changed;
}

// Told first, noted afterwards: somebody may wait for it.
void Reconciler::Settled(const TenantRecord& before, const TenantRecord& now) {
  parts_.on_settled ? parts_.on_settled(now) : parts_.on_status();
  {
    const absl::MutexLock lock(&mu_);
    if (now.state == v1::SERVICE_STATE_FAILED) {
      failed_.insert(now.id);
      return;
    }
    if (failed_.erase(now.id) > 0) mended_ = true;
  }
  const absl::Duration took = parts_.clock.Now() - now.desired_time;
  Log(Level::kInfo, LogNameOf(now.state),
      {{"tenant", now.id.str()},
       {"generation", std::format("{}", now.generation)},
       {"ms", std::format("{:.1f}", absl::ToDoubleMilliseconds(took))}});
  if (now.state == v1::SERVICE_STATE_READY && before.state != v1::SERVICE_STATE_READY) {
    provisioning_seconds_.Observe(absl::ToDoubleSeconds(took));
  }
}

void Reconciler::RequestPass() {
  const absl::MutexLock lock(&mu_);
  pass_requested_ = true;
}

bool Reconciler::AwaitQuiet(absl::Duration patience) {
  {
    const absl::MutexLock lock(&mu_);
    const auto ready = [this] { return prepared_.load() || Stopping(); };
    if (!mu_.AwaitWithTimeout(absl::Condition(&ready), patience)) return false;
  }
  return queue_.AwaitQuiet(patience);
}

absl::Status Reconciler::Prepare() {
  const auto go_on = [this] {
    return Stopping() ? Error(v1::REASON_SHUTTING_DOWN, "the provisioner is shutting down") : absl::OkStatus();
  };
  const absl::Status status =
      PrepareCentral(parts_.instance, *options_.central_migrations.Get(), go_on, options_.keeps_central);
  if (ReasonOf(status) == v1::REASON_SHUTTING_DOWN) return status;
  parts_.instance_health.Note(status);
  if (!status.ok()) {
    Tell(status);
    return status;
  }
  bool before = false;
  {
    const absl::MutexLock lock(&mu_);
    before = prepared_.exchange(true);
  }
  if (!before && parts_.on_prepared) parts_.on_prepared();
  return status;
}

void Reconciler::Tell(const absl::Status& trouble) {
  const absl::Status told = parts_.desired.ReportTrouble(parts_.instance.process(), std::string(ClientText(trouble)));
  if (!told.ok()) Log(Level::kDebug, "a failed pass cannot be reported now", {{"error", ClientText(told)}});
}

bool Reconciler::WorkOne() {
  const std::optional<TenantId> id = queue_.TryTake();
  if (!id.has_value()) return false;
  Look(*id);
  return true;
}

void Reconciler::Look(const TenantId& id) {
  const absl::Status status = LookAt(id);
  parts_.instance_health.Note(status);
  if (status.ok()) {
    unreachable_ = 0;
  } else {
    queue_.Add(id, parts_.clock.Now() + BackoffFor(++unreachable_));
  }
  queue_.Done(id);
}

absl::Duration Reconciler::BackoffFor(int attempt) {
  const absl::MutexLock lock(&mu_);
  return backoff_.Wait(attempt);
}

void Reconciler::RunWorker() {
  while (const std::optional<TenantId> id = queue_.Take()) Look(*id);
  const absl::MutexLock lock(&mu_);
  --running_;
}

absl::Status Reconciler::TakeOver() {
  LH_ASSIGN_OR_RETURN(const std::vector<TenantId> due,
                      parts_.records.Due(kTakeOverPatience, options_.max_backoff, kTakeOverLimit));
  for (const TenantId& id : due) queue_.Add(id);
  LH_ASSIGN_OR_RETURN(const bool awaits,
                      parts_.records.AwaitWord(kTakeOverPatience, kTakeOverPatience + options_.resync_interval));
  if (awaits) RequestPass();
  return absl::OkStatus();
}

bool Reconciler::Sleep(absl::Duration time) {
  while (true) {
    {
      const absl::MutexLock lock(&mu_);
      const bool requested = mu_.AwaitWithTimeout(absl::Condition(&pass_requested_), std::min(time, kTakeOverInterval));
      time -= kTakeOverInterval;
      // Not at once: tenants that failed for one reason are mended one after the other.
      if (requested || mended_ || time <= absl::ZeroDuration()) {
        pass_requested_ = mended_ = false;
        return !Stopping();
      }
    }
    if (prepared_) (void)TakeOver();  // an instance that does not answer shows elsewhere
  }
}

void Reconciler::RunPasses() {
  int failures = 0;
  absl::Duration pause = absl::ZeroDuration();
  do {
    const bool whole = (prepared_ || Prepare().ok()) && Pass().ok() && gateway_answered_;
    failures = whole ? 0 : failures + 1;
    pause =
        whole ? options_.resync_interval : std::min({options_.resync_interval, kLongestPause, BackoffFor(failures)});
  } while (Sleep(pause));
  const absl::MutexLock lock(&mu_);
  --running_;
}

}  // namespace leasehold::provisioner
