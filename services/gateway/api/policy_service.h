// PolicyService: what the gate would say.
#pragma once

#include <grpcpp/grpcpp.h>

#include "leasehold/v1/policy.grpc.pb.h"
#include "services/gateway/gate/gate.h"

namespace leasehold::gateway {

// Any thread; nothing blocks.
class PolicyService : public v1::PolicyService::CallbackService {
 public:
  explicit PolicyService(Gate& gate) : gate_(gate) {}  // outlives it

  grpc::ServerUnaryReactor* ExplainPolicy(grpc::CallbackServerContext* context, const v1::ExplainPolicyRequest* request,
                                          v1::ExplainPolicyResponse* response) override;

 private:
  Gate& gate_;
};

}  // namespace leasehold::gateway
