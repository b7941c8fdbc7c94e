// LeaseService behind its gate in a real gRPC server, called over the network by holders of API tokens.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "common/status/error.h"
#include "common/status/grpc.h"
#include "services/gateway/api/lease_service_fixture.h"
#include "services/gateway/api/policy_service.h"
#include "services/gateway/gate/gate.h"
#include "services/gateway/gate/gates.h"

namespace leasehold::gateway {

class GateTest : public LeaseRoomTest {
 protected:
  GateTest() {
    for (const char* id : {"acme", "acme-eu", "globex"}) directory_.Set(id, v1::TENANT_STATE_ACTIVE);
    directory_.SetDomain("acme.example.org", "acme");
    directory_.SetDomain("globex.example.org", "globex");
    ApiTokens tokens;
    for (const char* name : {"employee", "reports", "operator", "stranger"}) {
      const NewApiToken token = MakeApiToken(name, clock_.Now(), absl::InfiniteFuture());
      EXPECT_TRUE(tokens.Add(token.kept).ok());
      tokens_[name] = std::string(token.text.reveal());
    }
    authenticator_.SetTokens(std::move(tokens));
    grpc::ServerBuilder builder;
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
    interceptors.push_back(std::make_unique<AfterTheGate>(between_));  // they run from the last to the first
    interceptors.push_back(CheckCallsAt(gate_));
    builder.experimental().SetInterceptorCreators(std::move(interceptors));
    builder.SetContextAllocator(NewGatedContexts());
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(lease_gate_.service());
    builder.RegisterService(policy_gate_.service());
    server_ = builder.BuildAndStart();
    const auto channel = grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials());
    leases_ = v1::LeaseService::NewStub(channel);
    policies_ = v1::PolicyService::NewStub(channel);
  }
  ~GateTest() override {
    service_.Shutdown();
    server_->Shutdown();
  }

  void SetPolicy(std::string_view yaml) {
    absl::StatusOr<PolicyPtr> policy = Policy::Parse(yaml);
    ASSERT_TRUE(policy.ok()) << policy.status();
    gate_.SetPolicy(*std::move(policy));
  }

  // As the holder of the token with this name; "" shows none.
  template <typename Response, typename Stub, typename Method, typename Request>
  absl::StatusOr<Response> CallOn(Stub& stub, const std::string& caller, Method method, const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    if (!caller.empty()) context.AddMetadata("authorization", "Bearer " + tokens_.at(caller));
    Response response;
    const absl::Status status = FromGrpc((stub.*method)(&context, request, &response), "test");
    if (!status.ok()) return status;
    return response;
  }
  template <typename Response, typename Method, typename Request>
  absl::StatusOr<Response> Call(const std::string& caller, Method method, const Request& request) {
    return CallOn<Response>(*leases_, caller, method, request);
  }
  static v1::AcquireLeaseRequest Request(const std::string& tenant, const std::string& service = "identity") {
    v1::AcquireLeaseRequest request;
    if (!tenant.empty()) request.set_tenant(tenant);
    request.set_service(service);
    return request;
  }
  absl::StatusOr<v1::AcquireLeaseResponse> Acquire(const std::string& caller, const v1::AcquireLeaseRequest& request) {
    return Call<v1::AcquireLeaseResponse>(caller, &v1::LeaseService::Stub::AcquireLease, request);
  }
  // "OK", or the reason.
  template <typename T>
  static std::string Outcome(const absl::StatusOr<T>& result) {
    return result.ok() ? "OK" : std::string(ReasonName(ReasonOf(result.status())));
  }
  std::string Try(const std::string& caller, const v1::AcquireLeaseRequest& request) {
    return Outcome(Acquire(caller, request));
  }
  template <typename Request, typename Method>
  std::string OnLease(const std::string& caller, Method method, const std::string& id) {
    Request request;
    request.set_id(id);
    return Outcome(Call<v1::Lease>(caller, method, request));
  }

  // Runs `then` when the gate has decided and no handler has begun.
  class AfterTheGate : public grpc::experimental::ServerInterceptorFactoryInterface {
   public:
    explicit AfterTheGate(std::function<void()>& then) : then_(then) {}
    grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
      return new Interceptor(*info, then_);
    }

   private:
    class Interceptor : public grpc::experimental::Interceptor {
     public:
      Interceptor(grpc::experimental::ServerRpcInfo& info, std::function<void()>& then) : info_(info), then_(then) {}
      void Intercept(grpc::experimental::InterceptorBatchMethods* batch) override {
        if (then_ && batch->QueryInterceptionHookPoint(grpc::experimental::InterceptionHookPoints::POST_RECV_MESSAGE)) {
          EXPECT_TRUE(dynamic_cast<GatedContext&>(*info_.server_context()).decision) << "the gate comes first";
          then_();
        }
        batch->Proceed();
      }

     private:
      grpc::experimental::ServerRpcInfo& info_;
      std::function<void()>& then_;
    };
    std::function<void()>& then_;
  };

  std::function<void()> between_;  // set while no call is under way
  Metrics metrics_;
  Authenticator authenticator_{clock_};
  Gate gate_{{.authenticator = authenticator_,
              .directory = directory_,
              .book = book_,
              .clock = clock_,
              .metrics = metrics_,
              .default_ttl = absl::Minutes(15)}};
  LeaseService service_{
      {issuer_, book_, watchers_, directory_, timer_, services_, nullptr, &gate_}, config_.leases(), metrics_};
  PolicyService policy_service_{gate_};
  LeaseServiceGate lease_gate_{service_};
  PolicyServiceGate policy_gate_{policy_service_};
  std::map<std::string, std::string> tokens_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::LeaseService::Stub> leases_;
  std::unique_ptr<v1::PolicyService::Stub> policies_;
};

}  // namespace leasehold::gateway
