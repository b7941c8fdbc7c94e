#include <algorithm>
#include <format>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "common/config/config.h"
#include "common/status/error.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {
namespace {

constexpr int kOldestOperations = 10;
constexpr int kUnready = 100;

// A tenant's state in each configured service ($1): pending while what the service has reported is older than what is
// wanted.
constexpr std::string_view kStates = R"sql(
SELECT t.id, w.service, CASE WHEN coalesce(s.generation, 0) < t.provision_generation THEN 'PENDING' ELSE s.state END AS state,
  s.message, CASE WHEN s.state = 'FAILED' AND s.generation >= t.provision_generation THEN s.update_time
             ELSE t.update_time END AS since
FROM leasehold.tenants t CROSS JOIN unnest($1::text[]) AS w (service)
LEFT JOIN leasehold.tenant_services s ON s.tenant = t.id AND s.service = w.service
WHERE t.state <> 'PURGED'
)sql";

// (service, state, tenants).
absl::StatusOr<pqxx::result> CountStates(postgres::Transaction& tx, const std::string& names) {
  return tx.Exec(std::format("SELECT service, state, count(*) FROM ({}) GROUP BY 1, 2 ORDER BY 1, 2", kStates),
                 {names});
}

// Names of services hold nothing that an array's text would have to quote.
std::string Array(const std::vector<std::string>& services) {
  return std::format("{{{}}}", absl::StrJoin(services, ","));
}

absl::Status ReadServices(postgres::Transaction& tx, const std::string& names, v1::GetStatusResponse& to) {
  LH_ASSIGN_OR_RETURN(const pqxx::result counted, CountStates(tx, names));
  for (const pqxx::row& row : counted) {
    const auto of = std::ranges::find(*to.mutable_services(), row[0].as<std::string>(), &v1::ServiceOverview::service);
    if (of == to.mutable_services()->end()) continue;
    v1::ServiceTenants& tenants = *of->add_tenants();
    tenants.set_state(rows::ServiceStateOf(row[1]));
    tenants.set_count(row[2].as<int64_t>());
  }
  LH_ASSIGN_OR_RETURN(
      const pqxx::result unready,
      tx.Exec(
          std::format("SELECT id, service, state, coalesce(message, ''), (extract(epoch FROM since) * 1000000)::bigint"
                      " FROM ({}) WHERE state IN ('PENDING', 'FAILED')"
                      " ORDER BY state = 'FAILED' DESC, since, id, service LIMIT {}",
                      kStates, kUnready),
          {names}));
  for (const pqxx::row& row : unready) {
    v1::UnreadyTenant& tenant = *to.add_unready();
    tenant.set_tenant(row[0].as<std::string>());
    tenant.set_service(row[1].as<std::string>());
    tenant.set_state(rows::ServiceStateOf(row[2]));
    if (tenant.state() == v1::SERVICE_STATE_FAILED) tenant.set_message(row[3].as<std::string>());
    if (!row[4].is_null()) *tenant.mutable_since_time() = FromTime(absl::FromUnixMicros(row[4].as<int64_t>()));
  }
  return absl::OkStatus();
}

absl::Status ReadOperations(postgres::Transaction& tx, v1::GetStatusResponse& to) {
  LH_ASSIGN_OR_RETURN(const pqxx::result count,
                      tx.Exec("SELECT count(*) FROM leasehold.operations WHERE state = 'RUNNING'"));
  to.set_operations_running(count[0][0].as<int64_t>());
  LH_ASSIGN_OR_RETURN(const pqxx::result oldest,
                      tx.Exec(std::format("SELECT {} FROM leasehold.operations WHERE state = 'RUNNING'"
                                          " ORDER BY create_time, tenant, generation LIMIT {}",
                                          rows::kOperationColumns, kOldestOperations)));
  for (const pqxx::row& row : oldest) *to.add_operations() = rows::OperationOf(row);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::GetStatusResponse> Store::Overview() {
  LH_ASSIGN_OR_RETURN(const Counts counts, Count());
  const std::string names = Array(services_);
  v1::GetStatusResponse overview;
  const absl::Status done = Transact([&](postgres::Transaction& tx) -> absl::Status {
    overview.Clear();
    for (const auto& [state, count] : counts.tenants) {
      v1::TenantCount& tenants = *overview.add_tenants();
      tenants.set_state(state);
      tenants.set_count(count);
    }
    for (const std::string& service : services_) overview.add_services()->set_service(service);
    LH_RETURN_IF_ERROR(ReadServices(tx, names, overview));
    return ReadOperations(tx, overview);
  });
  LH_RETURN_IF_ERROR(done);
  return overview;
}

absl::StatusOr<std::map<std::string, Store::ServiceCounts>> Store::CountByService() {
  std::map<std::string, ServiceCounts> counts;
  const absl::Status done = Transact([&](postgres::Transaction& tx) -> absl::Status {
    counts.clear();
    for (const std::string& service : services_) counts[service];
    LH_ASSIGN_OR_RETURN(const pqxx::result counted, CountStates(tx, Array(services_)));
    for (const pqxx::row& row : counted) {
      counts[row[0].as<std::string>()].tenants[rows::ServiceStateOf(row[1])] = row[2].as<int64_t>();
    }
    LH_ASSIGN_OR_RETURN(const pqxx::result passes,
                        tx.Exec("SELECT service, (extract(epoch FROM pass_time) * 1000000)::bigint"
                                " FROM leasehold.passes WHERE pass_time IS NOT NULL"));
    for (const pqxx::row& row : passes) {
      const auto of = counts.find(row[0].as<std::string>());
      if (of != counts.end()) of->second.last_pass = absl::FromUnixMicros(row[1].as<int64_t>());
    }
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(done);
  return counts;
}

}  // namespace leasehold::gateway
