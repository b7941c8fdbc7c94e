#include "services/provisioner/drift/inspections.h"

#include <format>

#include "common/secret/secret.h"
#include "common/status/error.h"
#include "leasehold/v1/provisioner.pb.h"
#include "services/provisioner/state/columns.h"

namespace leasehold::provisioner {
namespace {

// Each pass writes that it has looked into something. Should a crash of PostgreSQL lose that, the database is looked
// into again, sooner than need be: no pass waits for the disk because of it.
constexpr std::string_view kTake = R"sql(
WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
INSERT INTO leasehold.inspections AS i (tenant, inspect_time)
SELECT t.id, $1::timestamptz FROM relaxed, leasehold.tenants t
LEFT JOIN leasehold.inspections seen ON seen.tenant = t.id
WHERE t.state = 'ready' AND t.state_generation = t.generation
  AND (seen.inspect_time IS NULL OR seen.inspect_time <= $2::timestamptz)
ORDER BY seen.inspect_time NULLS FIRST, t.id LIMIT $3
ON CONFLICT (tenant) DO UPDATE SET inspect_time = excluded.inspect_time WHERE i.inspect_time <= $2::timestamptz
RETURNING tenant
)sql";

}  // namespace

absl::StatusOr<std::vector<TenantId>> Inspections::Take(postgres::Connection& central, int limit,
                                                        absl::Duration at_least) {
  const absl::Time now = clock_.Now();
  LH_ASSIGN_OR_RETURN(const pqxx::result rows,
                      central.ExecAlone(kTake, {Timestamp(now), Timestamp(now - at_least), std::format("{}", limit)}));
  std::vector<TenantId> tenants;
  for (const pqxx::row& row : rows) {
    LH_ASSIGN_OR_RETURN(TenantId id, TenantId::Parse(row[0].view()));
    tenants.push_back(std::move(id));
  }
  return tenants;
}

absl::Status Inspections::Keep(postgres::Connection& central, const TenantId& tenant,
                               const std::vector<v1::Finding>& findings) {
  v1::ReportFindingsRequest list;
  list.mutable_findings()->Assign(findings.begin(), findings.end());
  return central
      .ExecAlone(
          "UPDATE leasehold.inspections SET findings = decode($2, 'hex') WHERE tenant = $1 "
          "AND findings <> decode($2, 'hex')",
          {tenant.str(), Hex(list.SerializeAsString())})
      .status();
}

absl::StatusOr<std::vector<v1::Finding>> Inspections::Kept(postgres::Connection& central) {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows,
                      central.ExecAlone("SELECT encode(i.findings, 'hex') FROM leasehold.inspections i "
                                        "JOIN leasehold.tenants t ON t.id = i.tenant "
                                        "WHERE i.findings <> '' AND t.state = 'ready' ORDER BY i.tenant"));
  std::vector<v1::Finding> findings;
  for (const pqxx::row& row : rows) {
    LH_ASSIGN_OR_RETURN(const std::string bytes, FromHex(row[0].view()));
    v1::ReportFindingsRequest list;
    if (!list.ParseFromString(bytes)) continue;  // of another version
    findings.insert(findings.end(), list.findings().begin(), list.findings().end());
  }
  return findings;
}

}  // namespace leasehold::provisioner
