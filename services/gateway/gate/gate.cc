#include "services/gateway/gate/gate.h"

#include <format>
#include <utility>

#include "common/config/config.h"
#include "common/identity/identity.h"
#include "common/policy/operations.h"
#include "common/status/error.h"
#include "services/gateway/gate/call_check.h"
#include "services/gateway/gate/methods.h"

namespace leasehold::gateway {
namespace {

using grpc::experimental::InterceptionHookPoints;

class Interceptor : public grpc::experimental::Interceptor {
 public:
  Interceptor(Gate& gate, grpc::experimental::ServerRpcInfo& info) : gate_(gate), info_(info) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* batch) override {
    if (batch->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_MESSAGE)) {
      auto* call = dynamic_cast<GatedContext*>(info_.server_context());
      // nullptr: what cannot be decoded goes no further anyway.
      auto* request = static_cast<google::protobuf::Message*>(batch->GetRecvMessage());
      if (call != nullptr && request != nullptr) {
        gate_.Check(*call, info_.method(), *request, [batch] { batch->Proceed(); });
        return;
      }
    }
    batch->Proceed();
  }

 private:
  Gate& gate_;
  grpc::experimental::ServerRpcInfo& info_;
};

class Factory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit Factory(Gate& gate) : gate_(gate) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
    // gRPC's own services, health and reflection, are nobody's secret.
    const bool ours = std::string_view(info->method()).starts_with("/leasehold.v1.");
    return ours ? new Interceptor(gate_, *info) : nullptr;
  }

 private:
  Gate& gate_;
};

// Anybody who is known may ask what they may do themselves.
bool AsksAboutItself(const google::protobuf::Message& request, const Caller& caller) {
  const auto* explain = dynamic_cast<const v1::ExplainPolicyRequest*>(&request);
  return explain != nullptr && caller.principal != kAnonymous &&
         (explain->principal().empty() || explain->principal() == caller.principal);
}

prometheus::Counter& Refusals(Metrics& metrics, v1::Reason reason) {
  return metrics.Counter("leasehold_calls_refused_total", "Calls that were not let in, by reason",
                         {{"reason", std::string(ReasonName(reason))}});
}

absl::StatusOr<Ask> AskOf(const v1::ExplainPolicyRequest& request, std::string_view principal,
                          std::vector<const std::string*>& switch_to) {
  if (!IsOperation(request.operation())) {
    return InvalidField("operation", request.operation(), "an operation, such as lease.acquire");
  }
  for (const std::string& glob : request.switch_to()) switch_to.push_back(&glob);
  Ask ask{.principal = principal,
          .operation = request.operation(),
          .service = request.service(),
          .tenant = request.tenant(),
          .connection = request.connection(),
          .access = request.access(),
          .switch_to = switch_to,
          .others_lease = request.others_lease()};
  if (request.has_ttl()) ask.ttl = ToDuration(request.ttl());
  return ask;
}

}  // namespace

Gate::Gate(const Parts& parts) : parts_(parts) {
  for (const v1::Reason reason :
       {v1::REASON_NO_CREDENTIALS, v1::REASON_BAD_TOKEN, v1::REASON_NOT_PERMITTED, v1::REASON_QUOTA_EXCEEDED}) {
    Refusals(parts_.metrics, reason);
  }
}

void Gate::SetPolicy(PolicyPtr policy) {
  absl::MutexLock lock(&mu_);
  policy_ = std::move(policy);
}

PolicyPtr Gate::policy() const {
  absl::MutexLock lock(&mu_);
  return policy_;
}

void Gate::Check(GatedContext& call, std::string_view method, google::protobuf::Message& request,
                 std::function<void()> done) {
  call.caller = CallerOf(call);
  const auto decide = [&](absl::Status decision) {
    if (!decision.ok()) CountRefusal(decision);
    call.decision = std::move(decision);
    done();
  };
  absl::StatusOr<std::string> principal = parts_.authenticator.PrincipalOf(ShownBy(call));
  if (!principal.ok()) return decide(principal.status());
  call.caller.principal = *std::move(principal);
  PolicyPtr policy = this->policy();
  if (policy == nullptr || AsksAboutItself(request, call.caller)) return decide(absl::OkStatus());
  const Method* known = FindMethod(method);
  if (known == nullptr) {
    return decide(Error(v1::REASON_NOT_PERMITTED, std::format("no policy can allow {}", Printable(method))));
  }
  auto conclude = [this, &call, policy, known, done = std::move(done)](CallCheck::Verdict verdict) {
    absl::Status decision = std::move(verdict.decision);
    if (decision.ok() && known->acquires) decision = Admit(call, *policy, verdict.tenant);
    if (!decision.ok()) CountRefusal(decision);
    if (decision.ok()) decision = std::move(verdict.unknown_lease);
    call.decision = std::move(decision);
    done();
  };
  std::make_shared<CallCheck>(*this, call.caller.principal, request, policy, *known, std::move(conclude))->Run();
}

// What stands of a call that goes on.
struct Gate::Held {
  std::string principal;
  std::string api_token;  // what is kept of it; empty: the caller is known by something else
  std::string method;
  std::shared_ptr<const google::protobuf::Message> request;
};

Rechecker::Recheck Gate::RecheckOf(const grpc::CallbackServerContext& call, std::string_view method,
                                   const google::protobuf::Message& request) {
  const Caller* caller = GatedCallerOf(call);
  if (caller == nullptr) return [](const Done& done) { done(absl::OkStatus()); };
  std::shared_ptr<google::protobuf::Message> copy(request.New());
  copy->CopyFrom(request);
  const Held held{.principal = caller->principal,
                  .api_token = parts_.authenticator.ApiTokenOf(ShownBy(call)),
                  .method = std::string(method),
                  .request = std::move(copy)};
  return [this, held](Done done) { CheckAgain(held, std::move(done)); };
}

void Gate::CheckAgain(const Held& held, Done done) {
  const auto decide = [this, done = std::move(done)](const absl::Status& decision) {
    if (!decision.ok()) CountRefusal(decision);
    done(decision);
  };
  if (!held.api_token.empty()) {
    if (const absl::Status good = parts_.authenticator.CheckApiToken(held.api_token); !good.ok()) {
      return decide(good);
    }
  }
  PolicyPtr policy = this->policy();
  const Method* known = policy == nullptr ? nullptr : FindMethod(held.method);
  if (known == nullptr) return decide(absl::OkStatus());
  // A check completes its request, and refers to what it is about.
  struct Again {
    std::string principal;
    std::unique_ptr<google::protobuf::Message> request;
  };
  auto again = std::make_shared<Again>(held.principal, std::unique_ptr<google::protobuf::Message>(held.request->New()));
  again->request->CopyFrom(*held.request);
  auto conclude = [decide, again](const CallCheck::Verdict& verdict) { decide(verdict.decision); };
  std::make_shared<CallCheck>(*this, again->principal, *again->request, std::move(policy), *known, std::move(conclude))
      ->Run();
}

absl::Status Gate::Admit(GatedContext& call, const Policy& policy, std::string_view tenant) {
  const std::string& principal = call.caller.principal;
  if (const v1::PrincipalQuota* quota = policy.QuotaOf(principal)) {
    call.bounds.principal_leases = quota->max_leases();
    call.bounds.sessions_per_lease = static_cast<uint32_t>(quota->max_sessions_per_lease());
    if (quota->acquires_per_minute() > 0) {
      const Rate rate{.per_minute = static_cast<double>(quota->acquires_per_minute()),
                      .burst = static_cast<double>(quota->acquire_burst() > 0 ? quota->acquire_burst()
                                                                              : quota->acquires_per_minute())};
      if (const auto wait = acquires_.Take(principal, rate, parts_.clock.Now())) {
        return WithRetryAfter(WithField(Error(v1::REASON_QUOTA_EXCEEDED,
                                              std::format("{} has acquired {} leases in a minute, its quota",
                                                          Printable(principal, 300), quota->acquires_per_minute())),
                                        "acquires"),
                              *wait);
      }
    }
  }
  if (const v1::TenantQuota* quota = tenant.empty() ? nullptr : policy.QuotaOfTenant(tenant)) {
    call.bounds.tenant_leases = quota->max_leases();
  }
  return absl::OkStatus();
}

void Gate::CountRefusal(const absl::Status& why) { Refusals(parts_.metrics, ReasonOf(why)).Increment(); }

void Gate::Explain(const v1::ExplainPolicyRequest& asked, std::string_view caller,
                   std::move_only_function<void(absl::StatusOr<v1::ExplainPolicyResponse>)> done) {
  const v1::ExplainPolicyRequest request = AsCalled(asked);
  const std::string principal(request.principal().empty() ? caller : request.principal());
  std::vector<const std::string*> switch_to;
  absl::StatusOr<Ask> ask = AskOf(request, principal, switch_to);
  if (!ask.ok()) return done(ask.status());
  const PolicyPtr policy = this->policy();
  if (policy == nullptr) {
    v1::ExplainPolicyResponse open;
    open.set_principal(principal);
    open.set_allowed(true);
    open.set_open(true);
    return done(std::move(open));
  }
  const absl::StatusOr<TenantId> tenant = TenantId::Parse(request.tenant());
  if (!tenant.ok()) return done(policy->Explain(*ask));
  parts_.directory.Lookup(
      *tenant, [](const TenantView&) { return true; },
      // `ask` refers to what the request, `switch_to` and `principal` hold, which may be gone by then.
      [policy, request, principal, done = std::move(done)](const absl::StatusOr<TenantViewPtr>& view) mutable {
        std::vector<const std::string*> globs;
        absl::StatusOr<Ask> again = AskOf(request, principal, globs);
        // A tenant that there is not is as one without settings: who may ask about themselves need not know.
        static const std::map<std::string, std::string> none;
        again->settings = view.ok()                                                ? &(*view)->settings
                          : ReasonOf(view.status()) == v1::REASON_TENANT_NOT_FOUND ? &none
                                                                                   : nullptr;
        done(policy->Explain(*again));
      });
}

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> CheckCallsAt(Gate& gate) {
  return std::make_unique<Factory>(gate);
}

}  // namespace leasehold::gateway
