#include <algorithm>
#include <format>

#include "common/config/config.h"
#include "common/status/error.h"
#include "services/gateway/registry/outbox.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {
namespace {

// An array in PostgreSQL's text form. The elements need no quotes: tenant ids and the words for states.
template <typename Range, typename TextOf>
std::string Array(const Range& range, TextOf text_of) {
  std::string array = "{";
  for (const auto& element : range) {
    if (array.size() > 1) array += ',';
    array += text_of(element);
  }
  return array + "}";
}

absl::Status NotFound(std::string_view what) {
  return Error(v1::REASON_TENANT_NOT_FOUND, std::format("there is no tenant {}", what));
}

}  // namespace

absl::StatusOr<std::vector<v1::Tenant>> Store::ReadTenants(std::string_view which,
                                                           std::initializer_list<postgres::Param> params) {
  // One statement, so that a tenant and its services are of one moment.
  const std::string sql = std::format(
      "SELECT {}, {} FROM (SELECT * FROM leasehold.tenants WHERE state <> 'PURGED' AND {}) t"
      " LEFT JOIN leasehold.tenant_services s ON s.tenant = t.id ORDER BY t.id",
      rows::kTenantColumns, rows::kServiceColumns, which);
  std::vector<v1::Tenant> tenants;
  const absl::Status done = Transact([&](postgres::Transaction& tx) -> absl::Status {
    tenants.clear();
    LH_ASSIGN_OR_RETURN(const pqxx::result found, tx.Exec(sql, params));
    std::optional<rows::TenantRow> current;
    for (const pqxx::row& row : found) {
      if (!current || current->id != row[0].view()) {
        if (current) tenants.push_back(current->ToProto(services_));
        LH_ASSIGN_OR_RETURN(current, rows::TenantOf(row));
      }
      if (row[rows::kTenantColumnCount].is_null()) continue;
      v1::ServiceStatus status = rows::ServiceOf(row, rows::kTenantColumnCount);
      current->standing.reports[status.service()] = std::move(status);
    }
    if (current) tenants.push_back(current->ToProto(services_));
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(done);
  return tenants;
}

absl::StatusOr<v1::Tenant> Store::Get(const TenantId& id) {
  LH_ASSIGN_OR_RETURN(std::vector<v1::Tenant> found, ReadTenants("id = $1", {id.str()}));
  if (found.empty()) return NotFound(id.str());
  return std::move(found.front());
}

absl::StatusOr<v1::Tenant> Store::GetByDomain(const std::string& domain) {
  LH_ASSIGN_OR_RETURN(std::vector<v1::Tenant> found, ReadTenants("domain = $1", {domain}));
  if (found.empty()) return NotFound("with domain " + domain);
  return std::move(found.front());
}

absl::StatusOr<std::vector<v1::Tenant>> Store::Read(std::span<const TenantId> ids) {
  return ReadTenants("id = ANY ($1::text[])", {Array(ids, [](const TenantId& id) { return id.str(); })});
}

absl::StatusOr<std::vector<v1::Tenant>> Store::List(const std::string& after, int limit,
                                                    std::span<const v1::TenantState> states) {
  return ReadTenants(
      "id > $1 AND (cardinality($2::text[]) = 0 OR state = ANY ($2::text[])) ORDER BY id LIMIT $3",
      {after, Array(states, [](v1::TenantState state) { return rows::Text(state); }), std::to_string(limit)});
}

absl::StatusOr<std::vector<TenantId>> Store::ListIds(const std::string& after, int limit) {
  std::vector<TenantId> ids;
  const absl::Status done = Transact([&](postgres::Transaction& tx) -> absl::Status {
    ids.clear();
    LH_ASSIGN_OR_RETURN(
        const pqxx::result found,
        tx.Exec("SELECT id FROM leasehold.tenants WHERE id > $1 ORDER BY id LIMIT $2", {after, std::to_string(limit)}));
    for (const pqxx::row& row : found) {
      LH_ASSIGN_OR_RETURN(TenantId id, TenantId::Parse(row[0].view()));
      ids.push_back(std::move(id));
    }
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(done);
  return ids;
}

absl::StatusOr<std::vector<v1::Operation>> Store::ListOperations(const std::string& tenant, int limit,
                                                                 const std::optional<v1::Operation>& after) {
  std::vector<v1::Operation> operations;
  const absl::Status done = Transact([&](postgres::Transaction& tx) -> absl::Status {
    operations.clear();
    LH_ASSIGN_OR_RETURN(
        const pqxx::result found,
        tx.Exec(std::format("SELECT {} FROM leasehold.operations WHERE ($1 = '' OR tenant = $1)"
                            " AND ($2::timestamptz IS NULL OR (create_time, tenant, generation) < ($2, $3, $4))"
                            " ORDER BY create_time DESC, tenant DESC, generation DESC LIMIT $5",
                            rows::kOperationColumns),
                {tenant, after ? rows::Time(after->create_time()) : postgres::Param(),
                 after ? after->tenant() : std::string(), std::to_string(after ? after->generation() : 0),
                 std::to_string(limit)}));
    for (const pqxx::row& row : found) operations.push_back(rows::OperationOf(row));
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(done);
  return operations;
}

absl::StatusOr<std::vector<v1::DesiredTenant>> Store::ListDesired(const ServiceName& service, const std::string& after,
                                                                  int limit) {
  std::vector<v1::DesiredTenant> tenants;
  const absl::Status done = Transact([&](postgres::Transaction& tx) -> absl::Status {
    tenants.clear();
    LH_ASSIGN_OR_RETURN(
        const pqxx::result found,
        tx.Exec(std::format("SELECT {} FROM leasehold.tenants t LEFT JOIN leasehold.tenant_services s"
                            " ON s.tenant = t.id AND s.service = $1 WHERE t.id > $2 AND (t.state <> 'PURGED'"
                            " OR s.state IS DISTINCT FROM 'REMOVED' OR s.generation < t.provision_generation)"
                            " ORDER BY t.id LIMIT $3",
                            rows::kDesiredColumns),
                {service.str(), after, std::to_string(limit)}));
    tenants.reserve(static_cast<size_t>(found.size()));
    for (const pqxx::row& row : found) {
      LH_ASSIGN_OR_RETURN(tenants.emplace_back(), rows::DesiredOf(row));
    }
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(done);
  return tenants;
}

absl::StatusOr<Store::Counts> Store::Count() {
  Counts counts;
  const absl::Status done = Transact([&](postgres::Transaction& tx) -> absl::Status {
    counts = Counts();
    LH_ASSIGN_OR_RETURN(
        const pqxx::result found,
        tx.Exec("SELECT state, count(*) FROM leasehold.tenants WHERE state <> 'PURGED' GROUP BY state"));
    for (const pqxx::row& row : found) {
      v1::TenantState state = v1::TENANT_STATE_UNSPECIFIED;
      (void)v1::TenantState_Parse(std::format("TENANT_STATE_{}", row[0].view()), &state);
      counts.tenants[state] = row[1].as<int64_t>();
    }
    LH_ASSIGN_OR_RETURN(const OutboxDepth outbox, MeasureOutbox(tx));
    counts.outbox = outbox.events;
    counts.outbox_age = std::max(clock_.Now() - outbox.oldest, absl::ZeroDuration());
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(done);
  return counts;
}

}  // namespace leasehold::gateway
