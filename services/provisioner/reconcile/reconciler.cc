#include "services/provisioner/reconcile/reconciler.h"

#include <algorithm>
#include <format>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "common/failpoint/failpoint.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "common/telemetry/span.h"
#include "common/telemetry/trace.h"
#include "services/provisioner/archive/refill.h"
#include "services/provisioner/reconcile/shown_trace.h"
#include "services/provisioner/state/central.h"
#include "services/provisioner/steps/schema_note.h"

namespace leasehold::provisioner {
namespace {

constexpr size_t kDatabaseIdBytes = 8;
// Between passes that could not be made whole. Nothing announces that the gateway is back, and a removal may wait for
// its word: so this does not grow to the resync interval, however long it was away.
constexpr absl::Duration kLongestPause = absl::Seconds(1);
// How often to look for what another provisioner left, and how long a desire may be without anybody at it.
constexpr absl::Duration kTakeOverInterval = absl::Seconds(2);
constexpr absl::Duration kTakeOverPatience = absl::Seconds(2);
constexpr int kTakeOverLimit = 1000;
// Until the next look at a tenant that another provisioner has in hand.
constexpr absl::Duration kElsewherePause = absl::Milliseconds(250);

std::span<const TenantDatabase::Step> StepsOf(Work work) {
  switch (work) {
    case Work::kPresent:
      return TenantDatabase::Present();
    case Work::kClosed:
      return TenantDatabase::Closed();
    case Work::kShut:
      return TenantDatabase::Shut();
    case Work::kAbsent:
    case Work::kReplace:
      return TenantDatabase::Absent();
    case Work::kNone:
    case Work::kFill:
    case Work::kDiscard:
    case Work::kSettle:
      break;
  }
  return {};
}

bool MayDrop(Work work) { return work == Work::kAbsent || work == Work::kReplace || work == Work::kDiscard; }

v1::ServiceState StateAfter(Work work) {
  if (work == Work::kPresent || work == Work::kSettle) return v1::SERVICE_STATE_READY;
  return work == Work::kClosed ? v1::SERVICE_STATE_CLOSED : v1::SERVICE_STATE_REMOVED;
}

std::string_view LogNameOf(v1::ServiceState state) {
  if (state == v1::SERVICE_STATE_READY) return "tenant database ready";
  return state == v1::SERVICE_STATE_CLOSED ? "tenant database closed" : "tenant database removed";
}

bool IsOriginOvertaken(const TenantRecord& record, const TenantRecord& now) {
  return now.origin != record.origin || now.fill_database_id != record.fill_database_id ||
         now.database_id != record.database_id || now.create_generation != record.create_generation ||
         now.desired == v1::DESIRED_STATE_ABSENT || (!now.database_id.empty() && !now.confirmed);
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

bool NothingThere(const ObservedTenant& observed) {
  return !observed.database.has_value() && !observed.owner.has_value() && !observed.read_only.has_value();
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
  heartbeat_.emplace(parts_.instance.AsLogin(parts_.instance.central_database()), [this] { CloseIdle(); });
  threads_.emplace_back([this] { RunPasses(); });
  for (int i = 0; i < options_.parallelism; ++i) threads_.emplace_back([this] { RunWorker(); });
}

void Reconciler::CloseIdle() {
  parts_.central.CloseIdle();
  if (claims_.has_value()) claims_->CloseIdle();
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
  if (now.state == v1::SERVICE_STATE_FAILED) return;
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
  if (status.ok()) {
    prepared_ = true;
  } else {
    Tell(status);
  }
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

absl::Status Reconciler::LookAt(const TenantId& id) {
  auto central = parts_.central.Take();
  absl::StatusOr<std::optional<TenantRecord>> found = parts_.records.Get(id);
  if (!found.ok()) return Explain(found.status(), "reading the records");
  if (!found->has_value()) return absl::OkStatus();
  TenantRecord& record = **found;
  const TraceScope scope(ParseTraceparent(record.traceparent));
  if (record.next_attempt_time.has_value() && *record.next_attempt_time > parts_.clock.Now()) {
    queue_.Add(id, *record.next_attempt_time);
    return absl::OkStatus();
  }
  const absl::StatusOr<ObservedTenant> observed = Observe(*central, parts_.instance.service(), id);
  if (!observed.ok()) return Explain(observed.status(), "looking at the tenant");
  const Work work = WorkFor(record, *observed, StandardNow());
  if (work == Work::kNone) return absl::OkStatus();
  Span span("work on tenant", SpanKind::kInternal, {{"tenant", id.str()}});
  const ShownTrace shown(*central);
  if (const absl::Status reviewed = newcomers_.Review(*central); !reviewed.ok()) {
    return Explain(reviewed, "looking at the newest migration run");
  }
  if (claims_.has_value() && work == Work::kPresent && MayClaim(record) && NothingThere(*observed)) {
    const absl::StatusOr<std::optional<TenantRecord>> settled = claims_->Take(record);
    if (!settled.ok()) return Explain(settled.status(), "claiming a spare");
    if (settled->has_value()) {
      Settled(record, **settled);
      return absl::OkStatus();
    }
  }
  Turns* const turns = work == Work::kFill ? &fills_ : MayDrop(work) ? &drops_ : nullptr;
  if (turns != nullptr && !turns->Begin(id)) return absl::OkStatus();
  const absl::Cleanup end = [turns] {
    if (turns != nullptr) turns->End();
  };
  if (work == Work::kFill) {
    queue_.WillTakeLong(id);
    absl::StatusOr<std::string> assigned = parts_.records.AssignFillId(record, RandomHex(kDatabaseIdBytes));
    if (!assigned.ok()) return Explain(assigned.status(), "recording the database id");
    record.fill_database_id = *std::move(assigned);
    record.fill_generation = record.origin.generation;
  } else if (record.database_id.empty() && work != Work::kAbsent && work != Work::kDiscard) {
    // Recorded before anything is made: after a crash this is how one's own half-made things are known.
    absl::StatusOr<std::string> assigned = parts_.records.AssignDatabaseId(id, RandomHex(kDatabaseIdBytes));
    if (!assigned.ok()) return Explain(assigned.status(), "recording the database id");
    record.database_id = *std::move(assigned);
  }
  Outcome outcome{.state = StateAfter(work), .role_key = role_key_};
  absl::StatusOr<bool> attempted = true;
  if (work != Work::kSettle) attempted = Attempt(record, work, *observed, *central, outcome);
  if (attempted.ok() && !*attempted) {
    queue_.Add(id, parts_.clock.Now() + kElsewherePause);
    return absl::OkStatus();
  }
  span.Note(attempted.status());
  LH_FAILPOINT("before recording the outcome");
  const absl::Status concluded = Conclude(record, work, attempted.status(), std::move(outcome));
  LH_FAILPOINT("after recording the outcome");
  return concluded;
}

absl::StatusOr<bool> Reconciler::Attempt(const TenantRecord& record, Work work, const ObservedTenant& observed,
                                         postgres::Connection& central, Outcome& outcome) {
  const auto go_on = [&] { return GoOn(record, work); };
  const bool is_new = !record.schema_version.has_value();
  const bool fills = work == Work::kFill || work == Work::kDiscard;
  const std::shared_ptr<const Migrations> migrations = is_new && !fills ? newcomers_.Get() : newcomers_.All();
  if (fills) {
    Refill refill(parts_.instance, *migrations, central, parts_.clock, options_.backup_folder, record);
    const auto tell = [&](const Copied& copied) { TellCopied(record, copied); };
    LH_RETURN_IF_ERROR(work == Work::kFill ? refill.Run(go_on, tell) : refill.Discard(go_on));
    return !refill.elsewhere();
  }
  if (record.database_id.empty()) return true;  // nothing was ever made, so nothing is there to remove
  // One that opens again has been left out by runs over the fleet.
  const bool keep_version = !options_.migrates_in_place && observed.owner.has_value() && observed.owner->can_login;
  TenantDatabase database(parts_.instance, *migrations, central,
                          {.tenant = record.id,
                           .database_id = record.database_id,
                           .schema_version = record.schema_version,
                           .renew_secrets = record.role_key != role_key_,
                           .keep_version = keep_version});
  const absl::Status ran = database.Run(StepsOf(work), go_on);
  if (IsLost(record, observed) && database.created()) {
    Log(Level::kWarning, "tenant database was gone though nobody asked for that; it is made again, empty",
        {{"tenant", record.id.str()}, {"database_id", record.database_id}});
    recreated_.Increment();
  }
  if (is_new && ReasonOf(ran) == v1::REASON_MIGRATION_FAILED) {
    const absl::StatusOr<bool> fewer = newcomers_.HoldBack(central, *migrations, database.failing_file());
    if (fewer.ok() && *fewer)
      return Error(v1::REASON_SUPERSEDED, "another try with the files before the one that fails");
  }
  LH_RETURN_IF_ERROR(ran);
  outcome.schema_version = database.schema_version();
  if (!database.history_digest().empty()) {
    const SchemaNote note{.database_id = record.database_id,
                          .version = database.schema_version().value_or(0),
                          .digest = database.history_digest()};
    LH_RETURN_IF_ERROR(Explain(NoteSchema(central, note), "recording the schema's version"));
  }
  if (database.elsewhere()) return false;
  // A run that ended meanwhile has not seen this database.
  if (is_new && newcomers_.holds()) LH_RETURN_IF_ERROR(newcomers_.Review(central));
  if (is_new && newcomers_.Get()->size() > migrations->size()) {
    return Error(v1::REASON_SUPERSEDED, "there are more files by now");
  }
  return true;
}

void Reconciler::TellCopied(const TenantRecord& record, const Copied& copied) {
  if (!parts_.on_copying) return;
  v1::CopyStatus status;
  status.set_service(parts_.instance.service().str());
  status.set_generation(record.origin.generation);
  status.set_bytes(copied.bytes);
  status.set_total_bytes(copied.total);
  parts_.on_copying(record.id, status);
}

absl::Status Reconciler::GoOn(const TenantRecord& record, Work work) {
  if (Stopping()) return Error(v1::REASON_SHUTTING_DOWN, "the provisioner is shutting down");
  const absl::StatusOr<std::optional<TenantRecord>> found = parts_.records.Get(record.id);
  if (!found.ok()) return Explain(found.status(), "reading the records");
  const std::optional<TenantRecord>& now = *found;
  if (now.has_value() && work == Work::kDiscard && now->fill_database_id == record.fill_database_id) {
    return absl::OkStatus();
  }
  // A change that leaves the origin as it is, a new name say, does not make a long copy begin anew.
  if (now.has_value() && work == Work::kFill && !IsOriginOvertaken(record, *now)) return absl::OkStatus();
  if (!now.has_value() || work == Work::kFill || work == Work::kDiscard || now->generation != record.generation ||
      now->desired != record.desired || now->database_id != record.database_id ||
      now->create_generation != record.create_generation ||
      now->attempts != record.attempts ||  // another provisioner's, since this one looked
      ((work == Work::kAbsent || work == Work::kReplace) && !now->confirmed)) {
    return Error(v1::REASON_SUPERSEDED, "a newer change of the tenant has overtaken this one");
  }
  return absl::OkStatus();
}

absl::Status Reconciler::Conclude(const TenantRecord& record, Work work, const absl::Status& status, Outcome outcome) {
  const std::string_view tenant = record.id.str();
  if (IsOvertaken(status)) {
    queue_.Add(record.id);
    return absl::OkStatus();
  }
  if (work == Work::kShut && status.ok()) return absl::OkStatus();  // the registry's word is still to come
  if (work == Work::kReplace && status.ok()) {
    Log(Level::kInfo, "dropped what a purged tenant of the same id had left",
        {{"tenant", tenant}, {"database_id", record.database_id}});
    const absl::Status forgotten = parts_.records.ForgetDatabase(record.id, record.database_id);
    if (!forgotten.ok()) return Explain(forgotten, "recording what was dropped");
    queue_.Add(record.id);
    return absl::OkStatus();
  }
  if (work == Work::kFill && status.ok()) {
    Log(Level::kInfo, "tenant database filled from its origin",
        {{"tenant", tenant},
         {"origin", record.origin.tenant.empty() ? record.origin.backup : record.origin.tenant},
         {"database_id", record.fill_database_id}});
    queue_.Add(record.id);
    return absl::OkStatus();
  }
  if (work == Work::kDiscard && status.ok()) {
    const absl::Status forgotten = parts_.records.ForgetFill(record.id, record.fill_database_id);
    if (!forgotten.ok()) return Explain(forgotten, "recording what was dropped");
    queue_.Add(record.id);
    return absl::OkStatus();
  }
  const absl::Time now = parts_.clock.Now();
  const int attempt = record.attempts + 1;
  if (!status.ok()) {
    outcome = {.state = v1::SERVICE_STATE_FAILED,
               .message = std::string(ClientText(status)),
               .next_attempt_time = now + BackoffFor(attempt)};
  }
  const absl::StatusOr<std::optional<TenantRecord>> current = parts_.records.Finish(record, outcome);
  if (!current.ok()) return Explain(current.status(), "recording what was done");
  if (!current->has_value()) {
    queue_.Add(record.id);
    return absl::OkStatus();
  }
  if (!status.ok()) {
    const std::string_view reason = ReasonName(ReasonOf(status));
    parts_.metrics
        .Counter("leasehold_provisioner_failures_total", "Failed attempts at a tenant",
                 {{"reason", std::string(reason)}})
        .Increment();
    // Once for each new reason; the attempts that follow are in the records and in the status.
    if (record.message != outcome.message) {
      Log(Level::kWarning, "tenant failed; trying again",
          {{"tenant", tenant},
           {"reason", reason},
           {"error", outcome.message},
           {"attempt", std::format("{}", attempt)}});
    }
    queue_.Add(record.id, *outcome.next_attempt_time);
  }
  Settled(record, **current);
  return absl::OkStatus();
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
  LH_ASSIGN_OR_RETURN(const std::vector<TenantId> due, parts_.records.Due(kTakeOverPatience, kTakeOverLimit));
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
      if (requested || time <= absl::ZeroDuration()) {
        pass_requested_ = false;
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
