// The reconciler's work on one tenant: what there is against what is wanted, an attempt at the difference, and what is
// recorded of it.
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
#include "services/provisioner/reconcile/reconciler.h"
#include "services/provisioner/reconcile/shown_trace.h"
#include "services/provisioner/steps/schema_note.h"

namespace leasehold::provisioner {
namespace {

constexpr size_t kDatabaseIdBytes = 8;
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

bool IsOriginOvertaken(const TenantRecord& record, const TenantRecord& now) {
  return now.origin != record.origin || now.fill_database_id != record.fill_database_id ||
         now.database_id != record.database_id || now.create_generation != record.create_generation ||
         now.desired == v1::DESIRED_STATE_ABSENT || (!now.database_id.empty() && !now.confirmed);
}

bool NothingThere(const ObservedTenant& observed) {
  return !observed.database.has_value() && !observed.owner.has_value() && !observed.read_only.has_value();
}

}  // namespace

absl::Status Reconciler::LookAt(const TenantId& id) {
  auto central = parts_.central.Take();
  absl::StatusOr<std::optional<TenantRecord>> found = parts_.records.Get(id);
  if (!found.ok()) return Explain(found.status(), "reading the records");
  if (!found->has_value()) return absl::OkStatus();
  TenantRecord& record = **found;
  const TraceScope scope(ParseTraceparent(record.traceparent));
  if (record.next_attempt_time.has_value() &&
      IsStillToCome(*record.next_attempt_time, parts_.clock.Now(), options_.max_backoff)) {
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

}  // namespace leasehold::provisioner
