#include "services/gateway/api/policy_service.h"

#include <utility>

#include "common/status/grpc.h"
#include "services/gateway/caller/caller.h"

namespace leasehold::gateway {

grpc::ServerUnaryReactor* PolicyService::ExplainPolicy(grpc::CallbackServerContext* context,
                                                       const v1::ExplainPolicyRequest* request,
                                                       v1::ExplainPolicyResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  gate_.Explain(*request, CallerOf(*context).principal,
                [reactor, response](absl::StatusOr<v1::ExplainPolicyResponse> answer) {
                  if (answer.ok()) *response = *std::move(answer);
                  reactor->Finish(ToGrpc(answer.status()));
                });
  return reactor;
}

}  // namespace leasehold::gateway
