// What the audit's interceptor records of real calls, and how it keeps answers back until they are stored.
#include "services/gateway/audit/rpc_audit.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "absl/strings/str_split.h"
#include "services/gateway/api/lease_service_fixture.h"
#include "services/gateway/api/registry_service_fixture.h"
#include "services/gateway/api/undecodable_request.h"
#include "services/gateway/audit/line.h"
#include "services/gateway/audit/testing_config.h"
#include "services/gateway/audit/testing_events.h"

namespace leasehold::gateway {
namespace {

void Install(grpc::ServerBuilder& builder, AuditRecorder& recorder) {
  auto interceptors = RefuseUndecodableRequests();
  interceptors.push_back(RecordCalls(recorder));
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
}

class TenantAudit : public RegistryServiceTest {
 protected:
  void Configure(grpc::ServerBuilder& builder) override { Install(builder, recorder_); }

  AuditRecorder recorder_{AuditConfigOf("refuse"), clock_, metrics_};
};

TEST_F(TenantAudit, ChangesAreAnsweredWhenTheirEventIsStored) {
  // Nobody stores but this: the call ends only after the batch was told so.
  std::atomic<bool> stored = false;
  std::vector<v1::AuditEvent> events;
  std::thread writer([&] {
    auto batch = recorder_.buffer().Take(absl::Seconds(30), absl::ZeroDuration());
    ASSERT_TRUE(batch);
    ASSERT_EQ(batch->stored.size(), 1U);
    events.push_back(*ParseAuditLine(batch->lines));
    recorder_.buffer().Done(*batch);
    stored = true;
    for (auto& told : batch->stored) told(absl::OkStatus());
  });
  v1::CreateTenantRequest request;
  request.mutable_tenant()->set_id("acme");
  grpc::ClientContext context;
  context.AddMetadata("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  v1::TenantChange change;
  const grpc::Status status = tenants_->CreateTenant(&context, request, &change);
  EXPECT_TRUE(stored);
  EXPECT_TRUE(status.ok()) << status.error_message();
  writer.join();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].action(), v1::AUDIT_ACTION_TENANT_CREATE);
  EXPECT_EQ(events[0].tenant(), "acme");
  EXPECT_EQ(events[0].subject(), change.operation().id());
  EXPECT_EQ(events[0].trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(events[0].principal(), "anonymous");
  EXPECT_FALSE(events[0].address().empty());
}

TEST_F(TenantAudit, ThatItCouldNotBeStoredIsTheAnswer) {
  std::thread writer([&] {
    auto batch = recorder_.buffer().Take(absl::Seconds(30), absl::ZeroDuration());
    ASSERT_TRUE(batch);
    for (auto& told : batch->stored) told(Error(v1::REASON_AUDIT_UNAVAILABLE, "not stored"));
  });
  const absl::Status status = Create("acme");
  writer.join();
  EXPECT_EQ(ReasonOf(status), v1::REASON_AUDIT_UNAVAILABLE) << status;
}

TEST_F(TenantAudit, RefusalsAreRecordedAndNotWaitedFor) {
  EXPECT_FALSE(Create("Not A Tenant").ok());
  v1::SuspendTenantRequest suspend;
  suspend.set_id("nobody");
  grpc::ClientContext context;
  v1::TenantChange change;
  EXPECT_FALSE(tenants_->SuspendTenant(&context, suspend, &change).ok());
  v1::GetTenantRequest get;  // who only reads is not recorded
  get.set_id("nobody");
  grpc::ClientContext another;
  v1::Tenant tenant;
  EXPECT_FALSE(tenants_->GetTenant(&another, get, &tenant).ok());
  const std::vector<v1::AuditEvent> events = TakeEvents(recorder_);
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].outcome(), v1::REASON_INVALID_FIELD);
  EXPECT_EQ(events[0].tenant(), "");  // what is no tenant may be anything
  EXPECT_EQ(events[1].action(), v1::AUDIT_ACTION_TENANT_SUSPEND);
  EXPECT_EQ(events[1].outcome(), v1::REASON_TENANT_NOT_FOUND);
  EXPECT_EQ(events[1].tenant(), "nobody");
}

// LeaseServiceTest's service behind another server, with the interceptor.
class LeaseAudit : public LeaseServiceTest {
 protected:
  LeaseAudit() {
    stub_.reset();
    server_->Shutdown();
    service_.Shutdown();
    grpc::ServerBuilder builder;
    builder.RegisterService(&audited_);
    Install(builder, recorder_);
    server_ = builder.BuildAndStart();
    stub_ = v1::LeaseService::NewStub(server_->InProcessChannel({}));
  }
  ~LeaseAudit() override {
    audited_.Shutdown();
    server_->Shutdown();
  }

  AuditRecorder recorder_{AuditConfigOf("refuse"), clock_, metrics_};
  LeaseService audited_{
      {issuer_, book_, watchers_, directory_, timer_, services_, &recorder_}, config_.leases(), metrics_};
};

TEST_F(LeaseAudit, TellsTheLifeOfALease) {
  v1::AcquireLeaseRequest request = Request("acme");
  request.set_holder("payroll-1");
  request.add_switch_to("glob*");
  const auto acquired = Acquire(request);
  ASSERT_TRUE(acquired.ok()) << acquired.status();
  const std::string id = acquired->lease().id();
  EXPECT_TRUE(Switch(id, "globex").ok());
  EXPECT_FALSE(Switch(id, "initech").ok());
  v1::RevokeLeasesRequest revoke;
  revoke.set_id(id);
  // A revocation waits for its event to be stored.
  std::vector<v1::AuditEvent> events;
  std::thread writer([&] {
    while (events.size() < 4) {
      auto batch = recorder_.buffer().Take(absl::Seconds(30), absl::ZeroDuration());
      ASSERT_TRUE(batch);
      for (const absl::string_view line : absl::StrSplit(batch->lines, '\n', absl::SkipEmpty())) {
        events.push_back(*ParseAuditLine(StdView(line)));
      }
      recorder_.buffer().Done(*batch);
      for (auto& told : batch->stored) told(absl::OkStatus());
    }
  });
  EXPECT_TRUE(Revoke(revoke).ok());
  writer.join();
  ASSERT_EQ(events.size(), 4U);
  EXPECT_EQ(events[0].action(), v1::AUDIT_ACTION_LEASE_ACQUIRE);
  EXPECT_EQ(events[0].holder(), "payroll-1");
  EXPECT_EQ(events[0].lease(), id);
  EXPECT_EQ(events[0].detail(), "ends 900 s after its issue, may switch to glob*");
  EXPECT_EQ(events[1].action(), v1::AUDIT_ACTION_LEASE_SWITCH);
  EXPECT_EQ(events[1].tenant(), "globex");
  EXPECT_EQ(events[2].outcome(), v1::REASON_SWITCH_NOT_ALLOWED);
  EXPECT_EQ(events[2].tenant(), "initech");
  EXPECT_EQ(events[2].lease(), id);
  EXPECT_EQ(events[3].action(), v1::AUDIT_ACTION_LEASE_REVOKE);
  for (const v1::AuditEvent& event : events) {
    EXPECT_EQ(event.SerializeAsString().find(acquired->credentials().password()), std::string::npos);
  }
}

TEST_F(LeaseAudit, AHeldLeaseIsReleasedWithItsStream) {
  grpc::ClientContext context;
  auto stream = stub_->HoldLease(&context, Request("acme"));
  v1::AcquireLeaseResponse first;
  ASSERT_TRUE(stream->Read(&first));
  context.TryCancel();
  stream->Finish();
  std::vector<v1::AuditEvent> events;
  ASSERT_TRUE(Eventually([&] {
    for (const v1::AuditEvent& event : TakeEvents(recorder_)) events.push_back(event);
    return events.size() == 2;
  }));
  EXPECT_EQ(events[0].action(), v1::AUDIT_ACTION_LEASE_ACQUIRE);
  EXPECT_EQ(events[1].action(), v1::AUDIT_ACTION_LEASE_RELEASE);
  EXPECT_EQ(events[0].lease(), first.lease().id());
  EXPECT_EQ(events[1].lease(), first.lease().id());
  EXPECT_EQ(events[1].detail(), "with its stream");
  // So that whoever asks for the events of a tenant finds the end of its leases too.
  EXPECT_EQ(events[1].tenant(), "acme");
  EXPECT_EQ(events[1].service(), events[0].service());
  EXPECT_EQ(events[1].holder(), events[0].holder());
}

TEST_F(LeaseAudit, AHeldLeaseThatACallReleasedIsNotReleasedAgain) {
  grpc::ClientContext context;
  auto stream = stub_->HoldLease(&context, Request("acme"));
  v1::AcquireLeaseResponse first;
  ASSERT_TRUE(stream->Read(&first));
  v1::ReleaseLeaseRequest release;
  release.set_id(first.lease().id());
  ASSERT_TRUE(Call<v1::Lease>(&v1::LeaseService::Stub::ReleaseLease, release).ok());
  while (stream->Read(&first)) {
  }
  EXPECT_FALSE(stream->Finish().ok());
  const std::vector<v1::AuditEvent> events = TakeEvents(recorder_);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].action(), v1::AUDIT_ACTION_LEASE_ACQUIRE);
  EXPECT_EQ(events[1].action(), v1::AUDIT_ACTION_LEASE_RELEASE);
  EXPECT_EQ(events[1].detail(), "");
}

TEST_F(LeaseAudit, NoLeaseIsGivenOutThatCannotBeRecorded) {
  const v1::Lease lease = Acquired(Request("acme"));
  for (int i = 0; i < 1000; ++i) recorder_.Record({.action = v1::AUDIT_ACTION_LEASE_RENEW});
  EXPECT_EQ(Refusal(Request("acme")), v1::REASON_AUDIT_UNAVAILABLE);
  v1::RenewLeaseRequest renew;
  renew.set_id(lease.id());
  EXPECT_EQ(ReasonOf(Call<v1::Lease>(&v1::LeaseService::Stub::RenewLease, renew).status()),
            v1::REASON_AUDIT_UNAVAILABLE);
  // Whoever gives a right back is not kept from it.
  v1::ReleaseLeaseRequest release;
  release.set_id(lease.id());
  EXPECT_TRUE(Call<v1::Lease>(&v1::LeaseService::Stub::ReleaseLease, release).ok());
  TakeEvents(recorder_);
  EXPECT_EQ(Refusal(Request("acme")), v1::REASON_UNSPECIFIED);
}

}  // namespace
}  // namespace leasehold::gateway
