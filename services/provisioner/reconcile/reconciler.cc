#include "services/provisioner/reconcile/reconciler.h"

#include <algorithm>
#include <format>
#include <set>
#include <utility>

#include "common/secret/secret.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/provisioner/state/central.h"
#include "services/provisioner/steps/drop.h"

namespace leasehold::provisioner {
namespace {

constexpr size_t kDatabaseIdBytes = 8;
// Between passes that could not be made whole. Nothing announces that the gateway is back, and a removal may wait for
// its word: so this does not grow to the resync interval, however long it was away.
constexpr absl::Duration kLongestPause = absl::Seconds(1);

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
      break;
  }
  return {};
}

v1::ServiceState StateAfter(Work work) {
  if (work == Work::kPresent) return v1::SERVICE_STATE_READY;
  return work == Work::kClosed ? v1::SERVICE_STATE_CLOSED : v1::SERVICE_STATE_REMOVED;
}

std::string_view LogNameOf(v1::ServiceState state) {
  if (state == v1::SERVICE_STATE_READY) return "tenant database ready";
  return state == v1::SERVICE_STATE_CLOSED ? "tenant database closed" : "tenant database removed";
}

Desire DesireOf(const v1::DesiredTenant& listed) {
  return {.generation = listed.generation(),
          .state = listed.desired(),
          .create_generation = listed.create_generation(),
          .confirmed = true};
}

bool IsOvertaken(const absl::Status& status) {
  return ReasonOf(status) == v1::REASON_SUPERSEDED || ReasonOf(status) == v1::REASON_SHUTTING_DOWN;
}

}  // namespace

Reconciler::Reconciler(Options options, Parts parts)
    : options_(std::move(options)),
      parts_(std::move(parts)),
      standard_{.schema_version = NewestVersion(options_.tenant_migrations),
                .role_key = parts_.instance.KeyFingerprint()},
      queue_(parts_.clock),
      backoff_(options_.min_backoff, options_.max_backoff),
      provisioning_seconds_(parts_.metrics.Seconds(
          "leasehold_provisioning_seconds", "From learning that a tenant is wanted to its database being ready")),
      recreated_(parts_.metrics.Counter("leasehold_provisioner_recreated_total",
                                        "Tenant databases that had vanished and were made again, empty")),
      unlisted_(parts_.metrics.Gauge("leasehold_provisioner_unlisted_tenants",
                                     "Tenants with a database that the registry does not list: announced, and not "
                                     "taken in yet; or forgotten by it")) {}

Reconciler::~Reconciler() { Stop(); }

void Reconciler::Start() {
  {
    const absl::MutexLock lock(&mu_);
    running_ = options_.parallelism + 1;
  }
  threads_.emplace_back([this] { RunPasses(); });
  for (int i = 0; i < options_.parallelism; ++i) threads_.emplace_back([this] { RunWorker(); });
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
  return true;
}

absl::Status Reconciler::Want(const TenantId& id, const Desire& desire) {
  if (!prepared_) return Error(v1::REASON_INSTANCE_UNAVAILABLE, "the central database is not prepared yet");
  const absl::StatusOr<bool> changed = parts_.records.Want(id, desire);
  if (!changed.ok()) {
    const absl::Status status = Explain(changed.status(), "recording what is wanted");
    parts_.instance_health.Note(status);
    return status;
  }
  if (!*changed) return absl::OkStatus();
  queue_.Add(id);
  // What destroys waits for the registry's own word: ask for it.
  const bool may_destroy = desire.state == v1::DESIRED_STATE_ABSENT || desire.create_generation > 1;
  if (may_destroy && !desire.confirmed) RequestPass();
  return absl::OkStatus();
}

void Reconciler::RequestPass() {
  const absl::MutexLock lock(&mu_);
  pass_requested_ = true;
}

absl::Status Reconciler::Prepare() {
  const auto go_on = [this] {
    return Stopping() ? Error(v1::REASON_SHUTTING_DOWN, "the provisioner is shutting down") : absl::OkStatus();
  };
  const absl::Status status = PrepareCentral(parts_.instance, options_.central_migrations, go_on);
  if (ReasonOf(status) == v1::REASON_SHUTTING_DOWN) return status;
  parts_.instance_health.Note(status);
  if (status.ok()) prepared_ = true;
  return status;
}

absl::Status Reconciler::Pass() {
  const auto read_records = [this]() -> absl::StatusOr<std::map<TenantId, TenantRecord>> {
    LH_ASSIGN_OR_RETURN(std::vector<TenantRecord> list, parts_.records.List());
    std::map<TenantId, TenantRecord> records;
    for (TenantRecord& record : list) {
      const TenantId id = record.id;
      records.emplace(id, std::move(record));
    }
    return records;
  };
  const auto compare = [&]() -> absl::Status {
    // Records first. A change is committed before its event is published, so a listing that began after an event was
    // recorded shows that change or a newer one. If it shows an older one all the same, the event was not the
    // registry's or the registry was restored, and the listing counts. An event that comes meanwhile is not among
    // these records, and stays.
    LH_ASSIGN_OR_RETURN(auto records, read_records());
    const auto listed = parts_.desired.ListDesired();
    parts_.gateway_health.Note(listed.status());
    gateway_answered_ = listed.ok();
    if (listed.ok()) {
      CountUnlisted(*listed, records);
      for (const v1::DesiredTenant& tenant : *listed) LH_RETURN_IF_ERROR(ApplyListed(tenant, records));
      LH_ASSIGN_OR_RETURN(records, read_records());
    }
    auto central = parts_.central.Take();
    LH_RETURN_IF_ERROR(DropSetAside(*central));  // left by a run that ended between the two moves of a drop
    LH_ASSIGN_OR_RETURN(const auto observed, ObserveAll(*central, parts_.instance.service()));
    for (const auto& [id, record] : records) {
      const auto found = observed.find(id.str());
      if (WorkFor(record, found == observed.end() ? ObservedTenant() : found->second, standard_) != Work::kNone) {
        queue_.Add(id, record.next_attempt_time.value_or(absl::InfinitePast()));
      }
    }
    return absl::OkStatus();
  };
  const absl::Status status = Explain(compare(), "comparing all tenants");
  parts_.instance_health.Note(status);
  return status;
}

absl::Status Reconciler::ApplyListed(const v1::DesiredTenant& listed, const std::map<TenantId, TenantRecord>& records) {
  const absl::StatusOr<TenantId> id = TenantId::Parse(listed.id());
  if (!id.ok() || listed.desired() == v1::DESIRED_STATE_UNSPECIFIED || !v1::DesiredState_IsValid(listed.desired())) {
    Log(Level::kWarning, "the gateway listed a tenant that makes no sense", {{"tenant", Printable(listed.id())}});
    return absl::OkStatus();
  }
  const auto known = records.find(*id);
  const TenantRecord* record = known == records.end() ? nullptr : &known->second;
  if (record != nullptr && record->generation > listed.generation()) return Overrule(*record, listed);
  if (record == nullptr || record->generation < listed.generation() || record->desired != listed.desired() ||
      (record->desired == v1::DESIRED_STATE_ABSENT && !record->confirmed)) {
    LH_ASSIGN_OR_RETURN(const bool changed, parts_.records.Want(*id, DesireOf(listed)));
    if (changed) queue_.Add(*id);
    return absl::OkStatus();
  }
  const int64_t create_generation =
      listed.create_generation() == 0 ? record->create_generation : listed.create_generation();
  if (!record->confirmed || record->create_generation != create_generation) {
    LH_RETURN_IF_ERROR(parts_.records.Confirm(*record, create_generation));
  }
  const bool settled = record->state != v1::SERVICE_STATE_PENDING && record->state_generation == record->generation;
  const bool differs = listed.reported_state() != record->state || listed.reported_generation() != record->generation;
  if (settled && differs) {
    LH_RETURN_IF_ERROR(parts_.records.ReportAgain(*id));
    parts_.on_status();
  }
  return absl::OkStatus();
}

void Reconciler::CountUnlisted(std::span<const v1::DesiredTenant> listed,
                               const std::map<TenantId, TenantRecord>& records) {
  std::set<std::string_view> known;
  for (const v1::DesiredTenant& tenant : listed) known.insert(tenant.id());
  const auto unlisted = std::ranges::count_if(records, [&known](const auto& entry) {
    return !entry.second.database_id.empty() && !known.contains(entry.first.str());
  });
  unlisted_.Set(static_cast<double>(unlisted));
}

absl::Status Reconciler::Overrule(const TenantRecord& record, const v1::DesiredTenant& listed) {
  // The registry's own later word is overruled by an older one, unless that would destroy: a registry that was restored
  // has forgotten tenants, and what it forgot is not dropped. Making the tenant again takes its database over.
  const bool destroys =
      listed.desired() == v1::DESIRED_STATE_ABSENT && record.desired != v1::DESIRED_STATE_ABSENT && record.confirmed;
  Log(Level::kWarning,
      destroys ? "the registry was restored to before it made the tenant; its database is kept"
               : "the registry knows no such generation of the tenant; going back to the one it lists",
      {{"tenant", record.id.str()},
       {"recorded", std::format("{}", record.generation)},
       {"listed", std::format("{}", listed.generation())}});
  if (destroys) return absl::OkStatus();
  LH_ASSIGN_OR_RETURN(const bool changed, parts_.records.Want(record.id, DesireOf(listed), record.generation));
  if (changed) queue_.Add(record.id);
  return absl::OkStatus();
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
  if (record.next_attempt_time.has_value() && *record.next_attempt_time > parts_.clock.Now()) {
    queue_.Add(id, *record.next_attempt_time);
    return absl::OkStatus();
  }
  const absl::StatusOr<ObservedTenant> observed = Observe(*central, parts_.instance.service(), id);
  if (!observed.ok()) return Explain(observed.status(), "looking at the tenant");
  const Work work = WorkFor(record, *observed, standard_);
  if (work == Work::kNone) return absl::OkStatus();
  if (IsLost(record, *observed)) {
    Log(Level::kWarning, "tenant database is gone though nobody asked for that; making it again, empty",
        {{"tenant", id.str()}, {"database_id", record.database_id}});
    recreated_.Increment();
  }
  if (record.database_id.empty() && work != Work::kAbsent) {
    // Recorded before anything is made: after a crash this is how one's own half-made things are known.
    absl::StatusOr<std::string> assigned = parts_.records.AssignDatabaseId(id, RandomHex(kDatabaseIdBytes));
    if (!assigned.ok()) return Explain(assigned.status(), "recording the database id");
    record.database_id = *std::move(assigned);
  }
  Outcome outcome{.state = StateAfter(work), .role_key = standard_.role_key};
  const absl::Status status = Attempt(record, work, *central, outcome);
  return Conclude(record, work, status, std::move(outcome));
}

absl::Status Reconciler::Attempt(const TenantRecord& record, Work work, postgres::Connection& central,
                                 Outcome& outcome) {
  if (record.database_id.empty()) return absl::OkStatus();  // nothing was ever made, so nothing is there to remove
  TenantDatabase database(parts_.instance, options_.tenant_migrations, central,
                          {.tenant = record.id,
                           .database_id = record.database_id,
                           .schema_version = record.schema_version,
                           .renew_secrets = record.role_key != standard_.role_key});
  LH_RETURN_IF_ERROR(database.Run(StepsOf(work), [&] { return GoOn(record, work); }));
  outcome.schema_version = database.schema_version();
  return absl::OkStatus();
}

absl::Status Reconciler::GoOn(const TenantRecord& record, Work work) {
  if (Stopping()) return Error(v1::REASON_SHUTTING_DOWN, "the provisioner is shutting down");
  const absl::StatusOr<std::optional<TenantRecord>> found = parts_.records.Get(record.id);
  if (!found.ok()) return Explain(found.status(), "reading the records");
  const std::optional<TenantRecord>& now = *found;
  if (!now.has_value() || now->generation != record.generation || now->desired != record.desired ||
      now->database_id != record.database_id || now->create_generation != record.create_generation ||
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
  const absl::Time now = parts_.clock.Now();
  const int attempt = record.attempts + 1;
  if (!status.ok()) {
    outcome = {.state = v1::SERVICE_STATE_FAILED,
               .message = std::string(ClientText(status)),
               .next_attempt_time = now + BackoffFor(attempt)};
  }
  const absl::StatusOr<bool> current = parts_.records.Finish(record.id, record.generation, outcome);
  if (!current.ok()) return Explain(current.status(), "recording what was done");
  if (!*current) {
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
  } else {
    Log(Level::kInfo, LogNameOf(outcome.state),
        {{"tenant", tenant},
         {"generation", std::format("{}", record.generation)},
         {"ms", std::format("{}", absl::ToInt64Milliseconds(now - record.desired_time))}});
    if (outcome.state == v1::SERVICE_STATE_READY && record.state != v1::SERVICE_STATE_READY) {
      provisioning_seconds_.Observe(absl::ToDoubleSeconds(now - record.desired_time));
    }
  }
  parts_.on_status();
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

bool Reconciler::Sleep(absl::Duration time) {
  const absl::MutexLock lock(&mu_);
  mu_.AwaitWithTimeout(absl::Condition(&pass_requested_), time);
  pass_requested_ = false;
  return !Stopping();
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
