// leasehold.v1.PoolService over the SQL endpoint.
#pragma once

#include <grpcpp/grpcpp.h>

#include "leasehold/v1/pool.grpc.pb.h"
#include "services/gateway/lease/services.h"
#include "services/gateway/session/endpoint.h"

namespace leasehold::gateway {

// Nothing blocks: the pools' own loops answer. `sql` and `services` outlive it; it is served while `sql` is.
class PoolService : public v1::PoolService::CallbackService {
 public:
  PoolService(SqlEndpoint& sql, const KnownServices& services) : sql_(sql), services_(services) {}

  grpc::ServerUnaryReactor* ListPools(grpc::CallbackServerContext* context, const v1::ListPoolsRequest* request,
                                      v1::ListPoolsResponse* response) override;

 private:
  SqlEndpoint& sql_;
  const KnownServices& services_;
};

}  // namespace leasehold::gateway
