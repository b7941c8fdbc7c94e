// Unary gRPC calls whose work blocks: the reactor hands it to an executor and returns.
#pragma once

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/status/status.h"
#include "common/executor/executor.h"
#include "common/status/error.h"
#include "common/status/grpc.h"

namespace leasehold::gateway {

// No thread took the work.
inline void RefuseForNow(grpc::ServerUnaryReactor* reactor) {
  reactor->Finish(ToGrpc(Error(v1::REASON_SHUTTING_DOWN, "the gateway is overloaded or shutting down")));
}

// `work`: absl::Status(), run once on `executor`; it may use request and response, which gRPC keeps until Finish.
template <typename Work>
grpc::ServerUnaryReactor* AnswerOn(Executor& executor, grpc::CallbackServerContext* context, Work work) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (!executor.Submit([reactor, work = std::move(work)]() mutable { reactor->Finish(ToGrpc(work())); })) {
    RefuseForNow(reactor);
  }
  return reactor;
}

// For work that does not block: answers at once.
inline grpc::ServerUnaryReactor* AnswerNow(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

}  // namespace leasehold::gateway
