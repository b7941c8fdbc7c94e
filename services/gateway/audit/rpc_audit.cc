#include "services/gateway/audit/rpc_audit.h"

#include <optional>
#include <string>
#include <utility>

#include "common/status/error.h"
#include "common/status/grpc.h"
#include "services/gateway/audit/calls.h"
#include "services/gateway/caller/caller.h"

namespace leasehold::gateway {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::InterceptorBatchMethods;

v1::Reason OutcomeOf(const grpc::Status& status) {
  if (status.ok()) return v1::REASON_UNSPECIFIED;
  if (status.error_code() == grpc::StatusCode::CANCELLED) return v1::REASON_CANCELLED;
  return ReasonOf(FromGrpc(status, ""));
}

// The lease ended otherwise than with its stream, and has an event of that.
bool HadEnded(v1::Reason outcome) {
  return outcome == v1::REASON_LEASE_RELEASED || outcome == v1::REASON_LEASE_REVOKED ||
         outcome == v1::REASON_LEASE_EXPIRED;
}

// What the event of its release says of a lease that lives as long as its stream.
class HeldLease {
 public:
  explicit HeldLease(const AuditEntry& given_out)
      : lease_(given_out.lease),
        tenant_(given_out.tenant),
        service_(given_out.service),
        subject_(given_out.subject),
        holder_(given_out.holder) {}

  // Points into this.
  AuditEntry Released() const {
    return {.action = v1::AUDIT_ACTION_LEASE_RELEASE,
            .holder = holder_,
            .tenant = tenant_,
            .service = service_,
            .lease = lease_,
            .subject = subject_,
            .detail = "with its stream"};
  }

 private:
  std::string lease_;
  std::string tenant_;
  std::string service_;
  std::string subject_;
  std::string holder_;
};

class Interceptor : public grpc::experimental::Interceptor {
 public:
  Interceptor(grpc::experimental::ServerRpcInfo& info, const AuditedCall* call, AuditRecorder& recorder)
      : info_(info), call_(call), recorder_(recorder) {}

  void Intercept(InterceptorBatchMethods* batch) override {
    if (batch->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_MESSAGE)) {
      request_ = batch->GetRecvMessage();
    }
    if (batch->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_MESSAGE)) Sends(*batch);
    if (!batch->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS) || !Ends(*batch)) batch->Proceed();
  }

 private:
  bool streams() const { return info_.type() != grpc::experimental::ServerRpcInfo::Type::UNARY; }

  void Sends(InterceptorBatchMethods& batch) {
    if (call_ == nullptr) return;
    const void* const message = batch.GetSendMessage();
    if (!streams()) {
      response_ = message;
      return;
    }
    // A lease that lives as long as its stream: given out with the first message.
    if (std::exchange(told_, true) || request_ == nullptr) return;
    CallTold told;
    call_->tell(request_, message, told);
    held_.emplace(told.entry);
    Complete(told.entry, v1::REASON_UNSPECIFIED);
    recorder_.Record(told.entry);
  }

  // True: goes on later.
  bool Ends(InterceptorBatchMethods& batch) {
    const v1::Reason outcome = OutcomeOf(batch.GetSendStatus());
    if (call_ == nullptr || request_ == nullptr) {
      const auto code = CodeOf(outcome);
      if (code == absl::StatusCode::kUnauthenticated || code == absl::StatusCode::kPermissionDenied) {
        AuditEntry entry{.action = v1::AUDIT_ACTION_CALL, .subject = info_.method()};
        Complete(entry, outcome);
        recorder_.Record(entry);
      }
      return false;
    }
    CallTold told;
    if (held_) {
      if (HadEnded(outcome)) return false;
      told.entry = held_->Released();
      Complete(told.entry, v1::REASON_UNSPECIFIED);
      recorder_.Record(told.entry);
      return false;
    }
    call_->tell(request_, outcome == v1::REASON_UNSPECIFIED ? response_ : nullptr, told);
    Complete(told.entry, outcome);
    if (!call_->change || outcome != v1::REASON_UNSPECIFIED) {
      recorder_.Record(told.entry);
      return false;
    }
    recorder_.RecordChange(told.entry, [&batch](const absl::Status& stored) {
      if (!stored.ok()) batch.ModifySendStatus(ToGrpc(stored));
      batch.Proceed();
    });
    return true;
  }

  // What is the same for all calls. `entry` points into the call, `stranger_` and `trace_id_`.
  void Complete(AuditEntry& entry, v1::Reason outcome) {
    // All services have callback methods.
    auto& call = static_cast<grpc::CallbackServerContext&>(*info_.server_context());
    const Caller* caller = GatedCallerOf(call);
    if (caller == nullptr) caller = &stranger_.emplace(CallerOf(call));
    trace_id_ = TraceId(TraceOf(call));
    if (entry.action == v1::AUDIT_ACTION_UNSPECIFIED) entry.action = call_->action;
    entry.outcome = outcome;
    entry.principal = caller->principal;
    entry.address = caller->address;
    entry.trace_id = trace_id_;
  }

  grpc::experimental::ServerRpcInfo& info_;
  const AuditedCall* const call_;
  AuditRecorder& recorder_;
  const void* request_ = nullptr;
  const void* response_ = nullptr;
  bool told_ = false;
  std::optional<HeldLease> held_;
  std::optional<Caller> stranger_;
  std::string trace_id_;
};

class Factory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit Factory(AuditRecorder& recorder) : recorder_(recorder) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
    static constexpr std::string_view kOurs = "/leasehold.v1.";
    const std::string_view method = info->method();
    if (!recorder_.on() || !method.starts_with(kOurs)) return nullptr;
    return new Interceptor(*info, FindAuditedCall(method), recorder_);
  }

 private:
  AuditRecorder& recorder_;
};

}  // namespace

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> RecordCalls(AuditRecorder& recorder) {
  return std::make_unique<Factory>(recorder);
}

}  // namespace leasehold::gateway
