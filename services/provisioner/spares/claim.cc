#include "services/provisioner/spares/claim.h"

#include <string>
#include <utility>

#include "common/failpoint/failpoint.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "common/telemetry/log.h"
#include "services/provisioner/steps/observe.h"

namespace leasehold::provisioner {
namespace {

// OK if the same may be done without a spare.
absl::Status Forgive(const absl::Status& status, const TenantId& id) {
  if (postgres::IsConnectionFailure(status)) return status;
  Log(Level::kWarning, "no spare could be looked for", {{"tenant", id.str()}, {"error", StdView(status.message())}});
  return absl::OkStatus();
}

}  // namespace

bool MayClaim(const TenantRecord& record) {
  return record.desired == v1::DESIRED_STATE_PRESENT && record.database_id.empty() && !AwaitsOrigin(record) &&
         record.fill_database_id.empty();
}

Claims::Claims(std::function<Standard()> standard, Parts parts)
    : standard_(std::move(standard)),
      parts_(std::move(parts)),
      central_(parts_.instance.AsClaimer(parts_.instance.central_database()), kConnections, &parts_.clock),
      claimed_(parts_.metrics.Counter("leasehold_spare_claims_total", "Tenants that were given a spare",
                                      {{"outcome", "claimed"}})),
      missed_(parts_.metrics.Counter("leasehold_spare_claims_total", "Tenants that were given a spare",
                                     {{"outcome", "none_left"}})) {}

SpareClaim Claims::ClaimOf(const TenantId& id) const {
  const ServiceName& service = parts_.instance.service();
  return {.database = TenantDatabaseName(id, service),
          .read_only_role = TenantReadOnlyRole(id, service),
          .standard = standard_()};
}

bool Claims::Conclude(const Spared& spared) {
  if (!spared.trouble.empty()) {
    Log(Level::kWarning, "a spare could not be claimed",
        {{"tenant", spared.record.id.str()}, {"database_id", spared.database_id}, {"error", spared.trouble}});
    return false;
  }
  if (spared.database_id.empty()) return false;
  LH_FAILPOINT("after committing a claim");
  claimed_.Increment();
  parts_.on_claim(/*found=*/true);
  return true;
}

absl::StatusOr<Claims::Wanted> Claims::Want(const TenantId& id, const Desire& desire,
                                            std::optional<int64_t> overrules) {
  LH_FAILPOINT("before claiming a spare");
  const absl::StatusOr<std::optional<Spared>> spared = records_.Want(id, desire, overrules, ClaimOf(id));
  if (!spared.ok()) {
    LH_RETURN_IF_ERROR(Forgive(spared.status(), id));
    LH_ASSIGN_OR_RETURN(const bool changed, parts_.records.Want(id, desire, overrules));
    return Wanted{.changed = changed};
  }
  const std::optional<Spared>& changed = *spared;
  if (!changed.has_value()) return Wanted();
  const bool claimed = Conclude(*changed);
  if (changed->asked && !claimed) {
    missed_.Increment();
    parts_.on_claim(/*found=*/false);
  }
  Wanted wanted{.changed = true, .claimed = claimed};
  if (changed->record.state == v1::SERVICE_STATE_READY) wanted.settled = changed->record;
  return wanted;
}

absl::StatusOr<std::optional<TenantRecord>> Claims::Take(const TenantRecord& record) {
  if (!MayClaim(record)) return std::nullopt;
  const absl::StatusOr<std::optional<Spared>> spared = records_.TakeSpare(record, ClaimOf(record.id));
  if (!spared.ok()) {
    LH_RETURN_IF_ERROR(Forgive(spared.status(), record.id));
    return std::nullopt;
  }
  // That none was left was counted when the tenant was wanted.
  if (!spared->has_value() || !Conclude(**spared)) return std::nullopt;
  return (*spared)->record;
}

}  // namespace leasehold::provisioner
