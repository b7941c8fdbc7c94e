#include "services/gateway/api/undecodable_request.h"

#include <format>

#include "common/status/error.h"
#include "common/status/grpc.h"

namespace leasehold::gateway {
namespace {

using grpc::experimental::InterceptionHookPoints;

class Interceptor : public grpc::experimental::Interceptor {
 public:
  explicit Interceptor(const grpc::experimental::ServerRpcInfo& info) : info_(info) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* batch) override {
    if (batch->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_MESSAGE)) {
      decoded_ = batch->GetRecvMessage() != nullptr;
    }
    if (!decoded_ && batch->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      batch->ModifySendStatus(
          ToGrpc(Error(v1::REASON_INVALID_FIELD,
                       std::format("the request of {} cannot be read: it is not the protobuf message that the method "
                                   "takes, or one of its texts is not UTF-8",
                                   info_.method()))));
    }
    batch->Proceed();
  }

 private:
  const grpc::experimental::ServerRpcInfo& info_;
  bool decoded_ = true;
};

class Factory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
    // A stream of requests ends with a message that is none.
    const bool one_request = info->type() == grpc::experimental::ServerRpcInfo::Type::UNARY ||
                             info->type() == grpc::experimental::ServerRpcInfo::Type::SERVER_STREAMING;
    return one_request ? new Interceptor(*info) : nullptr;
  }
};

}  // namespace

std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> RefuseUndecodableRequests() {
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> factories;
  factories.push_back(std::make_unique<Factory>());
  return factories;
}

}  // namespace leasehold::gateway
