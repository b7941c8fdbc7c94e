#include "services/provisioner/drift/rounds.h"

#include <algorithm>
#include <format>
#include <iterator>
#include <optional>
#include <utility>

#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/provisioner/migrations/history.h"
#include "services/provisioner/steps/drop.h"
#include "services/provisioner/steps/grants.h"
#include "services/provisioner/steps/inside.h"
#include "services/provisioner/steps/observe.h"
#include "services/provisioner/steps/roles.h"
#include "services/provisioner/steps/tenant_lock.h"

namespace leasehold::provisioner {
namespace {

// What one report holds at most; the rest follows when these are seen to.
constexpr size_t kMostFindings = 2000;

std::string KeyOf(const v1::Finding& finding) {
  return std::format("{} {} {}", v1::FindingKind_Name(finding.kind()), finding.tenant(), finding.object());
}

}  // namespace

Rounds::Rounds(Options options, const Instance& instance, const Clock& clock, Metrics& metrics, Report report)
    : options_(options),
      instance_(instance),
      report_(std::move(report)),
      inspections_(clock),
      needing_somebody_(metrics.Gauge("leasehold_provisioner_findings",
                                      "Things amiss on the instance that somebody has to see to: leasehold doctor")) {}

absl::Status Rounds::Make(postgres::Connection& central, const Compared& compared) {
  Diagnosis diagnosis = Diagnose(compared);
  std::vector<v1::Finding>& findings = diagnosis.findings;
  std::set<std::string> second_sights;
  std::erase_if(findings, [&](const v1::Finding& finding) {
    if (!NeedsSecondSight(finding)) return false;
    second_sights.insert(KeyOf(finding));
    return !second_sights_.contains(KeyOf(finding));
  });
  second_sights_ = std::move(second_sights);
  for (const Leftover& leftover : diagnosis.leftovers) {
    if (!leftovers_.contains(leftover)) continue;
    const absl::StatusOr<bool> removable = Remove(central, leftover);
    LH_RETURN_IF_ERROR(removable.status());
    if (*removable) continue;
    for (v1::Finding& finding : findings) {
      const bool its = finding.kind() == v1::FINDING_KIND_LEFTOVER && finding.tenant() == leftover.tenant.str();
      if (its) finding.set_remedy(v1::FINDING_REMEDY_REPORTED);
    }
  }
  leftovers_ = std::move(diagnosis.leftovers);

  LH_ASSIGN_OR_RETURN(const std::vector<TenantId> tenants,
                      inspections_.Take(central, options_.inspections, options_.inspect_after));
  for (const TenantId& tenant : tenants) {
    LH_ASSIGN_OR_RETURN(const std::vector<v1::Finding> inside, Inspect(central, tenant));
    std::ranges::copy_if(inside, std::back_inserter(findings),
                         [](const v1::Finding& finding) { return finding.remedy() == v1::FINDING_REMEDY_REPAIRED; });
  }
  LH_ASSIGN_OR_RETURN(const std::vector<v1::Finding> kept, inspections_.Kept(central));
  findings.insert(findings.end(), kept.begin(), kept.end());

  needing_somebody_.Set(static_cast<double>(std::ranges::count(
      findings, v1::FINDING_REMEDY_REPORTED, [](const v1::Finding& finding) { return finding.remedy(); })));
  if (findings.size() > kMostFindings) findings.resize(kMostFindings);
  const absl::Status reported = report_(findings);
  if (!reported.ok()) Log(Level::kDebug, "findings cannot be reported now", {{"error", ClientText(reported)}});
  return absl::OkStatus();
}

absl::StatusOr<bool> Rounds::Remove(postgres::Connection& central, const Leftover& leftover) {
  TenantLock lock(central, leftover.tenant.str());
  LH_ASSIGN_OR_RETURN(const bool taken, lock.TryTake());
  if (!taken) return true;
  absl::Status removed;
  if (!leftover.database.empty()) {
    removed = DropDatabase(central, leftover.database);
  } else {
    removed = central.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
      LH_RETURN_IF_ERROR(lock.Check(tx));
      // Somebody may have begun with it since.
      LH_ASSIGN_OR_RETURN(const pqxx::result used,
                          tx.Exec("SELECT FROM leasehold.tenants WHERE database_id = $1", {leftover.database_id}));
      if (!used.empty()) return absl::OkStatus();
      const std::string mark = MarkOf(leftover.database_id);
      LH_RETURN_IF_ERROR(
          DropRole(tx, {.name = TenantReadOnlyRole(leftover.tenant, instance_.service()), .mark = mark}));
      return DropRole(tx, {.name = TenantDatabaseName(leftover.tenant, instance_.service()), .mark = mark});
    });
  }
  if (postgres::IsConnectionFailure(removed)) return removed;
  Log(Level::kWarning, removed.ok() ? "removed what a run had left" : "what a run had left cannot be removed",
      {{"tenant", leftover.tenant.str()},
       {"database_id", leftover.database_id},
       {"error", ClientText(Explain(removed, "removing what was left"))}});
  return removed.ok();
}

absl::StatusOr<std::vector<v1::Finding>> Rounds::Inspect(postgres::Connection& central, const TenantId& tenant) {
  const std::string name = TenantDatabaseName(tenant, instance_.service());
  const std::string reader = TenantReadOnlyRole(tenant, instance_.service());
  std::vector<v1::Finding> findings;
  TenantLock lock(central, tenant.str());
  LH_ASSIGN_OR_RETURN(const bool taken, lock.TryTake());
  if (!taken) return findings;  // whoever has it looks too, if there is reason to
  LH_ASSIGN_OR_RETURN(const std::optional<ObservedDatabase> database, ObserveDatabase(central, name));
  if (!database.has_value() || DatabaseIdOfMark(database->mark).empty() || !database->may_alter) return findings;
  postgres::Connection inside(instance_.AsLogin(name));
  if (const absl::StatusOr<bool> prepared = IsPrepared(inside); prepared.ok() && !*prepared) {
    const absl::Status done =
        GrantHistory(inside, name, reader, instance_.HistorySecret(DatabaseIdOfMark(database->mark)));
    if (postgres::IsConnectionFailure(done)) return done;
    if (done.ok()) {
      Log(Level::kInfo, "the history of an older Leasehold was made anew", {{"tenant", tenant.str()}});
    } else {
      Log(Level::kWarning, "the history of an older Leasehold cannot be made anew",
          {{"tenant", tenant.str()}, {"error", ClientText(Explain(done, "preparing the history of migrations"))}});
    }
  }
  const absl::StatusOr<std::vector<InsideFault>> faults = InspectInside(inside, name, reader);
  if (!faults.ok()) {
    // Of this one database, e.g. one that allows no connections. What concerns the instance shows elsewhere too.
    Log(Level::kDebug, "a tenant database cannot be looked into", {{"tenant", tenant.str()}});
    return findings;
  }
  std::vector<InsideFault> left;
  if (!faults->empty()) {
    LH_RETURN_IF_ERROR(RepairInside(inside, *faults));
    LH_ASSIGN_OR_RETURN(left, InspectInside(inside, name, reader));
    Log(Level::kWarning, "privileges inside a tenant database were not as they should be",
        {{"tenant", tenant.str()},
         {"faults", std::format("{}", faults->size())},
         {"first", Printable(faults->front().object)},
         {"left", std::format("{}", left.size())}});
  }
  std::vector<v1::Finding> somebodys;
  for (const InsideFault& fault : *faults) {
    const bool repaired = std::ranges::find(left, fault.object, &InsideFault::object) == left.end();
    v1::Finding finding;
    finding.set_service(instance_.service().str());
    finding.set_kind(fault.widened ? v1::FINDING_KIND_GRANT_WIDENED : v1::FINDING_KIND_GRANT_REDUCED);
    finding.set_tenant(tenant.str());
    finding.set_object(Printable(std::format("{}: {}", name, fault.object), 200));
    finding.set_message(fault.message);
    finding.set_remedy(repaired ? v1::FINDING_REMEDY_REPAIRED : v1::FINDING_REMEDY_REPORTED);
    if (!repaired) somebodys.push_back(finding);
    findings.push_back(std::move(finding));
  }
  LH_RETURN_IF_ERROR(inspections_.Keep(central, tenant, somebodys));
  return findings;
}

}  // namespace leasehold::provisioner
