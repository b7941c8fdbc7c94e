#include "common/rpc/trace_header.h"

#include <string>
#include <utility>

namespace leasehold::rpc {
namespace {

using grpc::experimental::InterceptionHookPoints;

class Interceptor : public grpc::experimental::Interceptor {
 public:
  explicit Interceptor(const std::string& traceparent) : traceparent_(traceparent) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* batch) override {
    if (batch->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      batch->GetSendInitialMetadata()->emplace(kTraceparent, traceparent_);
    }
    batch->Proceed();
  }

 private:
  const std::string& traceparent_;  // the factory's, which the channel keeps
};

class Factory : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit Factory(std::string traceparent) : traceparent_(std::move(traceparent)) {}
  grpc::experimental::Interceptor* CreateClientInterceptor(grpc::experimental::ClientRpcInfo*) override {
    return traceparent_.empty() ? nullptr : new Interceptor(traceparent_);
  }

 private:
  const std::string traceparent_;
};

}  // namespace

std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface> ShowTrace(const Trace& trace) {
  return std::make_unique<Factory>(ToTraceparent(trace));
}

}  // namespace leasehold::rpc
