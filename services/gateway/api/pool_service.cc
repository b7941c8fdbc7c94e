#include "services/gateway/api/pool_service.h"

#include <string>
#include <utility>
#include <vector>

#include "common/config/config.h"
#include "common/identity/identity.h"
#include "common/status/error.h"
#include "services/gateway/api/unary.h"

namespace leasehold::gateway {
namespace {

v1::DurationHistogram ToProto(const DurationHistogram& from) {
  v1::DurationHistogram to;
  to.set_count(static_cast<int64_t>(from.count()));
  *to.mutable_total() = FromDuration(from.total());
  constexpr auto& kEnds = DurationHistogram::kEnds;
  for (size_t i = 0; i <= kEnds.size(); ++i) {
    if (from.counts()[i] == 0) continue;
    v1::DurationHistogram::Bucket& bucket = *to.add_buckets();
    *bucket.mutable_from() = FromDuration(i == 0 ? absl::ZeroDuration() : absl::Nanoseconds(kEnds[i - 1]));
    if (i < kEnds.size()) *bucket.mutable_to() = FromDuration(absl::Nanoseconds(kEnds[i]));
    bucket.set_count(static_cast<int64_t>(from.counts()[i]));
  }
  return to;
}

// What pools and tenants have alike.
template <typename Report, typename Proto>
void SetCommon(const Report& report, Proto& proto) {
  proto.set_clients(report.clients);
  proto.set_servers(report.servers);
  proto.set_idle(report.idle);
  proto.set_dialling(report.dialling);
  proto.set_working(report.working);
  proto.set_waiting(report.waiting);
  const Tally& tally = report.tally;
  proto.set_hits(static_cast<int64_t>(tally.hits));
  proto.set_waits(static_cast<int64_t>(tally.waits));
  if (const uint64_t transactions = tally.hits + tally.waits; transactions > 0) {
    proto.set_hit_rate(static_cast<double>(tally.hits) / static_cast<double>(transactions));
  }
  proto.set_evictions(static_cast<int64_t>(tally.evictions));
  proto.set_bytes_in(static_cast<int64_t>(tally.bytes_in));
  proto.set_bytes_out(static_cast<int64_t>(tally.bytes_out));
  *proto.mutable_queries() = ToProto(tally.queries);
}

v1::Pool ToProto(PoolReport report) {
  v1::Pool pool;
  SetCommon(report, pool);
  pool.set_service(std::move(report.service));
  pool.set_max_connections(report.cap);
  if (report.working_bound) pool.set_working_bound(*report.working_bound);
  pool.set_closing(report.closing);
  pool.set_dials(static_cast<int64_t>(report.dials));
  for (PoolReport::Tenant& from : report.tenants) {
    v1::PoolTenant& tenant = *pool.add_tenants();
    SetCommon(from, tenant);
    tenant.set_tenant(std::move(from.tenant));
    tenant.set_max_connections(from.limit);
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
