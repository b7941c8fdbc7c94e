// leasehold.v1.OperationService over the registry.
#pragma once

#include <grpcpp/grpcpp.h>

#include "leasehold/v1/operation.grpc.pb.h"
#include "services/gateway/registry/registry.h"

namespace leasehold::gateway {

// Nothing blocks: calls run on the registry's executor. `registry` outlives it.
class OperationService : public v1::OperationService::CallbackService {
 public:
  explicit OperationService(Registry& registry) : registry_(registry) {}

  grpc::ServerUnaryReactor* GetOperation(grpc::CallbackServerContext* context, const v1::GetOperationRequest* request,
                                         v1::Operation* response) override;
  grpc::ServerUnaryReactor* ListOperations(grpc::CallbackServerContext* context,
                                           const v1::ListOperationsRequest* request,
                                           v1::ListOperationsResponse* response) override;
  grpc::ServerUnaryReactor* CancelOperation(grpc::CallbackServerContext* context,
                                            const v1::CancelOperationRequest* request,
                                            v1::Operation* response) override;
  grpc::ServerWriteReactor<v1::Operation>* WatchOperation(grpc::CallbackServerContext* context,
                                                          const v1::GetOperationRequest* request) override;

 private:
  Registry& registry_;
};

}  // namespace leasehold::gateway
