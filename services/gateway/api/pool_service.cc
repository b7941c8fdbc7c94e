#include "services/gateway/api/pool_service.h"

#include <string>
#include <utility>
#include <vector>

#include "common/identity/identity.h"
#include "common/status/error.h"
#include "services/gateway/api/unary.h"

namespace leasehold::gateway {
namespace {

v1::Pool ToProto(PoolReport report) {
  v1::Pool pool;
  pool.set_service(std::move(report.service));
  pool.set_clients(report.clients);
  pool.set_max_connections(report.cap);
  pool.set_servers(report.servers);
  pool.set_idle(report.idle);
  pool.set_dialling(report.dialling);
  pool.set_closing(report.closing);
  pool.set_waiting(report.waiting);
  pool.set_hits(static_cast<int64_t>(report.hits));
  pool.set_waits(static_cast<int64_t>(report.waits));
  if (const uint64_t transactions = report.hits + report.waits; transactions > 0) {
    pool.set_hit_rate(static_cast<double>(report.hits) / static_cast<double>(transactions));
  }
  pool.set_evictions(static_cast<int64_t>(report.evictions));
  pool.set_dials(static_cast<int64_t>(report.dials));
  for (PoolReport::Tenant& from : report.tenants) {
    v1::PoolTenant& tenant = *pool.add_tenants();
    tenant.set_tenant(std::move(from.tenant));
    tenant.set_clients(from.clients);
    tenant.set_max_connections(from.limit);
    tenant.set_servers(from.servers);
    tenant.set_idle(from.idle);
    tenant.set_dialling(from.dialling);
    tenant.set_waiting(from.waiting);
  }
  return pool;
}

// The name in its one form; empty for all services.
absl::StatusOr<std::string> Asked(const KnownServices& services, const v1::ListPoolsRequest& request) {
  if (request.service().empty()) return std::string();
  LH_ASSIGN_OR_RETURN(const ServiceName service, ServiceName::Parse(request.service()));
  LH_RETURN_IF_ERROR(services.Check(service));
  return service.str();
}

}  // namespace

grpc::ServerUnaryReactor* PoolService::ListPools(grpc::CallbackServerContext* context,
                                                 const v1::ListPoolsRequest* request, v1::ListPoolsResponse* response) {
  const absl::StatusOr<std::string> asked = Asked(services_, *request);
  if (!asked.ok()) return AnswerNow(context, asked.status());
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  sql_.Pools([reactor, response, only = *asked](std::vector<PoolReport> reports) {
    for (PoolReport& report : reports) {
      if (only.empty() || report.service == only) *response->add_pools() = ToProto(std::move(report));
    }
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

}  // namespace leasehold::gateway
