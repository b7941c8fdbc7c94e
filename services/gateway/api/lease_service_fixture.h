// LeaseService behind a real gRPC server in the test's process, over a fake directory.
#pragma once

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <thread>

#include "absl/time/clock.h"
#include "common/config/config.h"
#include "common/status/error.h"
#include "services/gateway/api/lease_service.h"
#include "services/gateway/lease/lease_room.h"

namespace leasehold::gateway {

inline bool Eventually(const std::function<bool()>& condition) {
  for (const absl::Time give_up = absl::Now() + absl::Seconds(20); absl::Now() < give_up;) {
    if (condition()) return true;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return false;
}

// The service behind a real gRPC server in this process; the clock stands still, the timer runs when told.
class LeaseServiceTest : public LeaseRoomTest {
 protected:
  LeaseServiceTest() {
    for (const char* id : {"acme", "globex"}) directory_.Set(id, v1::TENANT_STATE_ACTIVE);
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = v1::LeaseService::NewStub(server_->InProcessChannel({}));
  }
  ~LeaseServiceTest() override {
    service_.Shutdown();
    server_->Shutdown();
  }

  v1::AcquireLeaseRequest Request(const std::string& tenant = "acme") {
    v1::AcquireLeaseRequest request;
    request.set_tenant(tenant);
    request.set_service("identity");
    return request;
  }
  absl::StatusOr<v1::AcquireLeaseResponse> Acquire(const v1::AcquireLeaseRequest& request) {
    return Call<v1::AcquireLeaseResponse>(&v1::LeaseService::Stub::AcquireLease, request);
  }
  // The reason that a call is refused for; UNSPECIFIED if it is not.
  Reason Refusal(const v1::AcquireLeaseRequest& request) { return ReasonOf(Acquire(request).status()); }
  std::string FieldOf(const v1::AcquireLeaseRequest& request) {
    const auto detail = DetailOf(Acquire(request).status());
    return detail ? detail->field() : "";
  }
  v1::Lease Acquired(const v1::AcquireLeaseRequest& request) {
    auto response = Acquire(request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->lease() : v1::Lease();
  }
  template <typename Response, typename Method, typename Request>
  absl::StatusOr<Response> Call(Method method, const Request& request) {
    grpc::ClientContext context;
    Response response;
    const absl::Status status = FromGrpc((stub_.get()->*method)(&context, request, &response), "test");
    if (!status.ok()) return status;
    return response;
  }
  absl::StatusOr<v1::Lease> Get(const std::string& id) {
    v1::GetLeaseRequest request;
    request.set_id(id);
    return Call<v1::Lease>(&v1::LeaseService::Stub::GetLease, request);
  }
  absl::StatusOr<v1::Lease> Switch(const std::string& id, const std::string& tenant) {
    v1::SwitchLeaseRequest request;
    request.set_id(id);
    request.set_tenant(tenant);
    return Call<v1::Lease>(&v1::LeaseService::Stub::SwitchLease, request);
  }
  absl::StatusOr<v1::RevokeLeasesResponse> Revoke(const v1::RevokeLeasesRequest& request) {
    return Call<v1::RevokeLeasesResponse>(&v1::LeaseService::Stub::RevokeLeases, request);
  }

  Metrics metrics_;
  LeaseService service_{{issuer_, book_, watchers_, directory_, timer_, services_}, config_.leases(), metrics_};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::LeaseService::Stub> stub_;
};

}  // namespace leasehold::gateway
