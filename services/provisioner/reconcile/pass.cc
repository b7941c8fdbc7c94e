// The reconciler's comparison of everything: what the registry lists against the records, these against the instance.
#include <algorithm>
#include <format>
#include <set>
#include <utility>

#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "common/telemetry/trace.h"
#include "services/provisioner/reconcile/reconciler.h"
#include "services/provisioner/spares/stock.h"
#include "services/provisioner/steps/claimer.h"
#include "services/provisioner/steps/drop.h"

namespace leasehold::provisioner {
namespace {

Origin OriginOf(const v1::DesiredTenant& listed) {
  const v1::Origin& origin = listed.origin();
  return {.tenant = origin.tenant(), .backup = origin.backup(), .generation = origin.generation()};
}

bool MakesSense(const v1::DesiredTenant& listed) {
  const Origin origin = OriginOf(listed);
  if (!TenantId::Parse(listed.id()).ok() || listed.desired() == v1::DESIRED_STATE_UNSPECIFIED ||
      !v1::DesiredState_IsValid(listed.desired())) {
    return false;
  }
  if (origin.generation == 0) return origin == Origin();
  return origin.backup.empty() ? TenantId::Parse(origin.tenant).ok() : IsBackupId(origin.backup);
}

// A provisioner of this service has reported its database, and it is still wanted.
bool WasMadeHere(const v1::DesiredTenant& listed) {
  const bool made =
      listed.reported_state() == v1::SERVICE_STATE_READY || listed.reported_state() == v1::SERVICE_STATE_CLOSED;
  return made && listed.reported_generation() >= listed.create_generation() &&
         listed.desired() != v1::DESIRED_STATE_ABSENT;
}

Desire DesireOf(const v1::DesiredTenant& listed) {
  return {.generation = listed.generation(),
          .state = listed.desired(),
          .create_generation = listed.create_generation(),
          .confirmed = true,
          .origin = OriginOf(listed),
          .traceparent = ToTraceparent(ParseTraceparent(listed.traceparent()))};
}

}  // namespace

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
      bool changed = false;
      for (const v1::DesiredTenant& tenant : *listed) {
        LH_ASSIGN_OR_RETURN(const bool this_one, ApplyListed(tenant, records));
        changed = changed || this_one;
      }
      if (changed) {
        LH_ASSIGN_OR_RETURN(records, read_records());
      }
    }
    auto central = parts_.central.Take();
    LH_RETURN_IF_ERROR(DropSetAside(*central));  // left by a run that ended between the two moves of a drop
    LH_ASSIGN_OR_RETURN(const auto spares, ListSpares(*central, ClaimerOf(parts_.instance.login())));
    LH_ASSIGN_OR_RETURN(const ObservedInstance* const observed, observer_.Observe(*central));
    const Standard standard = StandardNow();
    CountOutdated(records, standard);
    for (const auto& [id, record] : records) {
      const auto found = observed->tenants.find(id.str());
      if (WorkFor(record, found == observed->tenants.end() ? ObservedTenant() : found->second, standard) !=
          Work::kNone) {
        queue_.Add(id, record.next_attempt_time.value_or(absl::InfinitePast()));
      }
    }
    Compared compared{.service = parts_.instance.service(), .seen = *observed, .records = records};
    if (listed.ok()) {
      compared.listed.emplace();
      for (const v1::DesiredTenant& tenant : *listed) compared.listed->insert(tenant.id());
    }
    for (const Spare& spare : spares) compared.in_use.insert(spare.database_id);
    LH_ASSIGN_OR_RETURN(const auto scratch, parts_.records.ListScratch());
    compared.in_use.insert(scratch.begin(), scratch.end());
    for (const auto& [id, record] : records) {
      if (!record.fill_database_id.empty()) compared.in_use.insert(record.fill_database_id);
    }
    return rounds_.Make(*central, compared);
  };
  const absl::Status status = Explain(compare(), "comparing all tenants");
  passes_.Increment();
  parts_.instance_health.Note(status);
  if (!status.ok()) Tell(status);
  return status;
}

// The gauge is there from the first count on: before, nobody knows, and zero says that a former key can go.
void Reconciler::CountOutdated(const std::map<TenantId, TenantRecord>& records, const Standard& standard) {
  const auto outdated = std::ranges::count_if(records, [&standard](const auto& entry) {
    const TenantRecord& record = entry.second;
    return record.desired != v1::DESIRED_STATE_ABSENT && !record.database_id.empty() &&
           record.role_key != standard.role_key;
  });
  parts_.metrics
      .Gauge("leasehold_provisioner_outdated_secrets",
             "Tenants whose roles may have passwords of another role key still")
      .Set(static_cast<double>(outdated));
  compared_.store(true, std::memory_order_relaxed);
}

absl::StatusOr<bool> Reconciler::ApplyListed(const v1::DesiredTenant& listed,
                                             const std::map<TenantId, TenantRecord>& records) {
  const TraceScope scope(ParseTraceparent(listed.traceparent()));
  const absl::StatusOr<TenantId> id = TenantId::Parse(listed.id());
  if (!MakesSense(listed)) {
    Log(Level::kWarning, "the gateway listed a tenant that makes no sense", {{"tenant", Printable(listed.id())}});
    return false;
  }
  const auto known = records.find(*id);
  const TenantRecord* record = known == records.end() ? nullptr : &known->second;
  if (record != nullptr && record->generation > listed.generation()) return Overrule(*record, listed);
  const Origin origin = OriginOf(listed);
  const bool other_origin = record != nullptr && record->origin != origin &&
                            std::max(record->origin.generation, origin.generation) > record->filled_generation;
  if (record == nullptr || record->generation < listed.generation() || record->desired != listed.desired() ||
      other_origin || (record->desired == v1::DESIRED_STATE_ABSENT && !record->confirmed)) {
    LH_ASSIGN_OR_RETURN(const bool recorded, Record(*id, DesireOf(listed)));
    if (recorded && record == nullptr && WasMadeHere(listed)) {
      NoteForgotten(*id, "the instance knows nothing of it: was it restored to before?");
    }
    return recorded;
  }
  const int64_t create_generation =
      listed.create_generation() == 0 ? record->create_generation : listed.create_generation();
  const bool confirms = !record->confirmed || record->create_generation != create_generation;
  if (confirms) {
    LH_RETURN_IF_ERROR(parts_.records.Confirm(*record, create_generation));
  }
  const bool settled = record->state != v1::SERVICE_STATE_PENDING && record->state_generation == record->generation;
  const bool differs = listed.reported_state() != record->state || listed.reported_generation() != record->generation;
  if (settled && differs) {
    LH_RETURN_IF_ERROR(parts_.records.ReportAgain(*id));
    parts_.on_status();
  }
  return confirms;
}

void Reconciler::NoteForgotten(const TenantId& id, std::string_view why) {
  Log(Level::kWarning, "the registry has a tenant's database from here that is not here; it is made again, empty",
      {{"tenant", id.str()}, {"why", why}});
  recreated_.Increment();
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

absl::StatusOr<bool> Reconciler::Overrule(const TenantRecord& record, const v1::DesiredTenant& listed) {
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
  if (destroys) return false;
  LH_ASSIGN_OR_RETURN(const bool recorded, Record(record.id, DesireOf(listed), record.generation));
  if (recorded && record.state == v1::SERVICE_STATE_REMOVED && WasMadeHere(listed)) {
    NoteForgotten(record.id, "it was dropped for good, and the registry was restored to before that");
  }
  return recorded;
}

}  // namespace leasehold::provisioner
