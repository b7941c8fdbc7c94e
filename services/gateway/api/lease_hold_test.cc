#include <gmock/gmock.h>

#include <thread>

#include "services/gateway/api/lease_service_fixture.h"

namespace leasehold::gateway {
namespace {

TEST_F(LeaseServiceTest, HeldLeaseIsRenewedWhileTheStreamLives) {
  grpc::ClientContext context;
  const auto stream = stub_->HoldLease(&context, Request());
  v1::AcquireLeaseResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_FALSE(response.credentials().dsn().empty());
  const std::string id = response.lease().id();
  EXPECT_EQ(ToTime(response.lease().expire_time()), clock_.Now() + absl::Seconds(15));
  for (int i = 0; i < 10; ++i) {
    Pass(absl::Seconds(5));
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.lease().id(), id);
    EXPECT_FALSE(response.has_credentials());
    EXPECT_EQ(ToTime(response.lease().expire_time()), clock_.Now() + absl::Seconds(15));
  }
  context.TryCancel();
  EXPECT_TRUE(Eventually([&] { return Get(id)->state() == v1::LEASE_STATE_RELEASED; }));
  stream->Finish();
}

TEST_F(LeaseServiceTest, HeldLeaseThatEndsEndsItsStream) {
  grpc::ClientContext context;
  const auto stream = stub_->HoldLease(&context, Request());
  v1::AcquireLeaseResponse response;
  ASSERT_TRUE(stream->Read(&response));
  v1::RevokeLeasesRequest revoke;
  revoke.set_id(response.lease().id());
  EXPECT_EQ(Revoke(revoke)->revoked(), 1);
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(ReasonOf(FromGrpc(stream->Finish(), "test")), v1::REASON_LEASE_REVOKED);
}

TEST_F(LeaseServiceTest, RefusedHoldSaysWhy) {
  for (const auto& [request, reason] : {std::pair(Request("nobody"), v1::REASON_TENANT_NOT_FOUND),
                                        std::pair(Request("No Tenant"), v1::REASON_INVALID_FIELD)}) {
    grpc::ClientContext context;
    const auto stream = stub_->HoldLease(&context, request);
    v1::AcquireLeaseResponse response;
    EXPECT_FALSE(stream->Read(&response));
    EXPECT_EQ(ReasonOf(FromGrpc(stream->Finish(), "test")), reason);
  }
}

TEST_F(LeaseServiceTest, HoldsOfOneRequestIdDoNotShareALease) {
  v1::AcquireLeaseRequest request = Request();
  request.set_request_id("r1");
  grpc::ClientContext first_context, second_context;
  const auto first = stub_->HoldLease(&first_context, request);
  const auto second = stub_->HoldLease(&second_context, request);
  v1::AcquireLeaseResponse a, b;
  ASSERT_TRUE(first->Read(&a));
  ASSERT_TRUE(second->Read(&b));
  EXPECT_NE(a.lease().id(), b.lease().id());
}

TEST_F(LeaseServiceTest, CallerGoneBeforeTheLeaseIsMadeLeavesNothing) {
  directory_.Set("acme", v1::TENANT_STATE_PROVISIONING, v1::SERVICE_STATE_PENDING);
  v1::AcquireLeaseRequest request = Request();
  *request.mutable_wait_ready() = FromDuration(absl::Minutes(1));
  grpc::ClientContext context;
  const auto stream = stub_->HoldLease(&context, request);
  EXPECT_TRUE(Eventually([&] { return directory_.followers() == 1; }));
  context.TryCancel();
  EXPECT_FALSE(stream->Finish().ok());
  EXPECT_TRUE(Eventually([&] {
    timer_.Tick();
    return directory_.followers() == 0;
  }));
  directory_.Set("acme", v1::TENANT_STATE_ACTIVE);
  EXPECT_EQ(book_.live(), 0u);
}

TEST_F(LeaseServiceTest, ShutdownEndsStreamsAndWaitersAndRefusesNewOnes) {
  grpc::ClientContext context;
  const auto stream = stub_->HoldLease(&context, Request());
  v1::AcquireLeaseResponse response;
  ASSERT_TRUE(stream->Read(&response));
  directory_.Set("globex", v1::TENANT_STATE_PROVISIONING, v1::SERVICE_STATE_PENDING);
  v1::AcquireLeaseRequest request = Request("globex");
  *request.mutable_wait_ready() = FromDuration(absl::Minutes(1));
  absl::StatusOr<v1::AcquireLeaseResponse> waited;
  std::thread caller([&] { waited = Acquire(request); });
  EXPECT_TRUE(Eventually([&] { return directory_.followers() == 1; }));

  service_.Shutdown();
  caller.join();
  EXPECT_EQ(ReasonOf(waited.status()), v1::REASON_SHUTTING_DOWN);
  v1::AcquireLeaseResponse unused;
  EXPECT_FALSE(stream->Read(&unused));
  EXPECT_EQ(ReasonOf(FromGrpc(stream->Finish(), "test")), v1::REASON_SHUTTING_DOWN);
  EXPECT_TRUE(Eventually([&] { return Get(response.lease().id())->state() == v1::LEASE_STATE_RELEASED; }));

  grpc::ClientContext late_context;
  const auto late = stub_->HoldLease(&late_context, Request());
  EXPECT_FALSE(late->Read(&unused));
  EXPECT_EQ(ReasonOf(FromGrpc(late->Finish(), "test")), v1::REASON_SHUTTING_DOWN);
}

}  // namespace
}  // namespace leasehold::gateway
