#include "services/gateway/caller/rpc_trace.h"

#include <format>
#include <string>
#include <string_view>

#include "absl/time/clock.h"
#include "common/status/error.h"
#include "common/status/grpc.h"
#include "common/telemetry/log.h"
#include "common/telemetry/span.h"
#include "services/gateway/caller/caller.h"

namespace leasehold::gateway {
namespace {

using grpc::experimental::InterceptionHookPoints;

constexpr std::string_view kOurs = "/leasehold.v1.";

class Interceptor : public grpc::experimental::Interceptor {
 public:
  explicit Interceptor(grpc::experimental::ServerRpcInfo& info) : info_(info), start_(absl::Now()) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* batch) override {
    if (batch->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) Ends(batch->GetSendStatus());
    batch->Proceed();
  }

 private:
  void Ends(const grpc::Status& status) {
    auto* const call = dynamic_cast<GatedContext*>(info_.server_context());
    if (call == nullptr) return;
    const absl::Time end = absl::Now();
    const absl::Status how = FromGrpc(status, "");
    const bool cancelled = status.error_code() == grpc::StatusCode::CANCELLED;
    const std::string_view outcome = how.ok() ? "OK" : ReasonName(cancelled ? v1::REASON_CANCELLED : ReasonOf(how));
    const std::string_view method = std::string_view(info_.method()).substr(1);
    const TraceScope scope(call->trace());
    Log(Level::kDebug, "call",
        {{"method", method},
         {"outcome", outcome},
         {"principal", call->caller.principal},
         {"ms", std::format("{:.1f}", absl::ToDoubleMilliseconds(end - start_))}});
    if (!call->trace().sampled || !SpansAreCollected()) return;
    Collect({.name = std::string(method),
             .kind = SpanKind::kServer,
             .trace = call->trace(),
             .parent = call->parent_span(),
             .start = start_,
             .end = end,
             .failed = !how.ok(),
             .error = std::string(ClientText(how)),
             .attributes = {{"rpc.system", "grpc"}, {"outcome", std::string(outcome)}}});
  }

  grpc::experimental::ServerRpcInfo& info_;
  const absl::Time start_;
};

class Factory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
    const bool wanted = SpansAreCollected() || LogEnabled(Level::kDebug);
    return wanted && std::string_view(info->method()).starts_with(kOurs) ? new Interceptor(*info) : nullptr;
  }
};

}  // namespace

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> TraceCalls() {
  return std::make_unique<Factory>();
}

}  // namespace leasehold::gateway
