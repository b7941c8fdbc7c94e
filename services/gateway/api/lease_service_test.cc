#include "services/gateway/api/lease_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <thread>

#include "absl/time/clock.h"
#include "common/config/config.h"
#include "common/status/error.h"
#include "services/gateway/lease/fake_directory.h"

namespace leasehold::gateway {
namespace {

v1::Config Configuration() {
  v1::Config config;
  for (const char* name : {"identity", "core"}) {
    v1::ServiceConfig& service = *config.add_services();
    service.set_name(name);
    service.mutable_instance()->set_database(std::string(name) + "_central");
  }
  *config.mutable_leases()->mutable_default_ttl() = FromDuration(absl::Minutes(15));
  *config.mutable_leases()->mutable_max_ttl() = FromDuration(absl::Hours(24));
  return config;
}

bool Eventually(const std::function<bool()>& condition) {
  for (const absl::Time give_up = absl::Now() + absl::Seconds(20); absl::Now() < give_up;) {
    if (condition()) return true;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return false;
}

// The service behind a real gRPC server in this process; the clock stands still, the timer runs when told.
class LeaseServiceTest : public testing::Test {
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
  void Pass(absl::Duration time) {
    clock_.Advance(time);
    timer_.Tick();
    book_.Tick();
  }

  FakeClock clock_;
  const SigningKeys keys_ =
      *SigningKeys::Parse("1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n");
  const v1::Config config_ = Configuration();
  const KnownServices services_{config_};
  LeaseWatchers watchers_;
  LeaseOutbox outbox_;
  LeaseBook book_{clock_, watchers_, outbox_, {}};
  LeaseIssuer issuer_{keys_, services_, book_, {"127.0.0.1", 7432}};
  FakeDirectory directory_;
  Timer timer_{clock_};
  Metrics metrics_;
  LeaseService service_{{issuer_, book_, watchers_, directory_, timer_, services_}, config_.leases(), metrics_};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::LeaseService::Stub> stub_;
};

TEST_F(LeaseServiceTest, AcquireSaysHowToConnect) {
  v1::AcquireLeaseRequest request = Request();
  request.set_access(v1::ACCESS_READ_ONLY);
  request.set_holder("payroll-7f9c");
  request.set_session(true);
  request.add_switch_to("globex*");
  *request.mutable_ttl() = FromDuration(absl::Minutes(2));
  const auto response = Acquire(request);
  ASSERT_TRUE(response.ok()) << response.status();
  const v1::Lease& lease = response->lease();
  EXPECT_EQ(lease.id().size(), 26u);
  EXPECT_EQ(lease.tenant(), "acme");
  EXPECT_EQ(lease.current_tenant(), "acme");
  EXPECT_EQ(lease.service(), "identity");
  EXPECT_EQ(lease.access(), v1::ACCESS_READ_ONLY);
  EXPECT_EQ(lease.holder(), "payroll-7f9c");
  EXPECT_TRUE(lease.session());
  EXPECT_THAT(lease.switch_to(), testing::ElementsAre("globex*"));
  EXPECT_EQ(lease.state(), v1::LEASE_STATE_ACTIVE);
  EXPECT_EQ(ToTime(lease.expire_time()), clock_.Now() + absl::Minutes(2));
  EXPECT_EQ(response->credentials().database(), "tenant_acme_identity");
  EXPECT_EQ(response->credentials().port(), 7432);
  EXPECT_EQ(response->credentials().password().size(), 43u);
  EXPECT_THAT(metrics_.Expose(), testing::HasSubstr("leasehold_lease_acquires_total{outcome=\"ok\"} 1"));
}

TEST_F(LeaseServiceTest, AcquireTheNamedConnection) {
  v1::AcquireLeaseRequest request;
  request.set_connection("central");
  request.set_service("core-service");
  const auto response = Acquire(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->lease().connection(), "central");
  EXPECT_EQ(response->lease().service(), "core");
  EXPECT_EQ(response->lease().current_tenant(), "");
  EXPECT_EQ(response->credentials().database(), "core_central");
  request.set_connection("reporting");
  EXPECT_EQ(Refusal(request), v1::REASON_CONNECTION_NOT_FOUND);
}

TEST_F(LeaseServiceTest, AcquireByDomain) {
  directory_.SetDomain("acme.example", "acme");
  v1::AcquireLeaseRequest request;
  request.set_domain("ACME.example");
  request.set_service("identity");
  EXPECT_EQ(Acquired(request).tenant(), "acme");
  request.set_domain("no_domain");
  EXPECT_EQ(FieldOf(request), "domain");
}

TEST_F(LeaseServiceTest, EveryFieldIsCheckedAtTheBorder) {
  const std::vector<std::pair<std::string, std::function<void(v1::AcquireLeaseRequest&)>>> cases = {
      {"tenant", [](auto& r) { r.set_tenant("Ac_me"); }},
      {"home", [](auto& r) { r.clear_tenant(); }},
      {"service", [](auto& r) { r.set_service("Identity!"); }},
      {"access", [](auto& r) { r.set_access(static_cast<v1::Access>(7)); }},
      {"ttl", [](auto& r) { *r.mutable_ttl() = FromDuration(absl::Milliseconds(999)); }},
      {"ttl", [](auto& r) { *r.mutable_ttl() = FromDuration(absl::Hours(24) + absl::Seconds(1)); }},
      {"ttl", [](auto& r) { r.mutable_ttl()->set_seconds(-1); }},
      {"ttl", [](auto& r) { r.mutable_ttl(); }},
      {"switch_to", [](auto& r) { r.add_switch_to("Acme*"); }},
      {"switch_to", [](auto& r) { r.add_switch_to(""); }},
      {"switch_to",
       [](auto& r) {
         for (int i = 0; i < 17; ++i) r.add_switch_to("a*");
       }},
      {"switch_to",
       [](auto& r) {
         for (int i = 0; i < 9; ++i) r.add_switch_to(std::string(64, 'a'));
       }},
      {"holder", [](auto& r) { r.set_holder(std::string(129, 'a')); }},
      {"holder", [](auto& r) { r.set_holder("a\nb"); }},
      {"request_id", [](auto& r) { r.set_request_id(std::string(129, 'a')); }},
      {"wait_ready", [](auto& r) { *r.mutable_wait_ready() = FromDuration(absl::Minutes(11)); }},
      {"wait_ready", [](auto& r) { *r.mutable_wait_ready() = FromDuration(absl::Seconds(-1)); }},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    v1::AcquireLeaseRequest request = Request();
    cases[i].second(request);
    EXPECT_EQ(Refusal(request), v1::REASON_INVALID_FIELD) << i << " " << cases[i].first;
    EXPECT_EQ(FieldOf(request), cases[i].first) << i;
  }
  v1::AcquireLeaseRequest request = Request();
  *request.mutable_ttl() = FromDuration(absl::Hours(25));
  EXPECT_THAT(std::string(Acquire(request).status().message()), testing::HasSubstr("25h"));
  EXPECT_EQ(DetailOf(Acquire(request).status())->allowed(), "1s to 24h");
  request = Request();
  request.set_service("payroll");
  EXPECT_EQ(Refusal(request), v1::REASON_SERVICE_NOT_FOUND);
  EXPECT_THAT(std::string(Acquire(request).status().message()), testing::HasSubstr("identity"));
  EXPECT_EQ(book_.size(), 0u);
}

TEST_F(LeaseServiceTest, TenantsThatCannotBeLeasedAreRefused) {
  EXPECT_EQ(Refusal(Request("nobody")), v1::REASON_TENANT_NOT_FOUND);
  directory_.Set("acme", v1::TENANT_STATE_PROVISIONING, v1::SERVICE_STATE_PENDING);
  EXPECT_EQ(Refusal(Request()), v1::REASON_TENANT_NOT_READY);
  directory_.Set("acme", v1::TENANT_STATE_SUSPENDED, v1::SERVICE_STATE_CLOSED);
  EXPECT_EQ(Refusal(Request()), v1::REASON_TENANT_SUSPENDED);
  directory_.SetDown(true);
  EXPECT_EQ(Refusal(Request()), v1::REASON_REGISTRY_UNAVAILABLE);
}

TEST_F(LeaseServiceTest, RepeatedRequestIdGivesTheSameCredentials) {
  v1::AcquireLeaseRequest request = Request();
  request.set_request_id("r1");
  const auto first = Acquire(request);
  const auto second = Acquire(request);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->credentials().dsn(), second->credentials().dsn());
  request.set_tenant("globex");
  EXPECT_EQ(Refusal(request), v1::REASON_REQUEST_ID_REUSED);
  EXPECT_NE(Acquired(Request()).id(), first->lease().id());
}

TEST_F(LeaseServiceTest, WaitReadyAnswersWhenTheTenantIsReady) {
  directory_.Set("acme", v1::TENANT_STATE_PROVISIONING, v1::SERVICE_STATE_PENDING);
  v1::AcquireLeaseRequest request = Request();
  *request.mutable_wait_ready() = FromDuration(absl::Minutes(1));
  absl::StatusOr<v1::AcquireLeaseResponse> response;
  std::thread caller([&] { response = Acquire(request); });
  EXPECT_TRUE(Eventually([&] { return directory_.followers() == 1; }));
  directory_.Set("acme", v1::TENANT_STATE_ACTIVE);
  caller.join();
  EXPECT_TRUE(response.ok()) << response.status();
}

TEST_F(LeaseServiceTest, WaitReadyEndsAtItsDeadlineAndWithItsCaller) {
  directory_.Set("acme", v1::TENANT_STATE_PROVISIONING, v1::SERVICE_STATE_PENDING);
  v1::AcquireLeaseRequest request = Request();
  *request.mutable_wait_ready() = FromDuration(absl::Minutes(1));
  absl::StatusOr<v1::AcquireLeaseResponse> response;
  std::thread caller([&] { response = Acquire(request); });
  EXPECT_TRUE(Eventually([&] { return directory_.followers() == 1; }));
  Pass(absl::Minutes(1));
  caller.join();
  EXPECT_EQ(ReasonOf(response.status()), v1::REASON_DEADLINE_EXCEEDED);
  timer_.Tick();
  EXPECT_EQ(directory_.followers(), 0u);

  grpc::ClientContext context;
  v1::AcquireLeaseResponse unused;
  std::thread gives_up([&] { EXPECT_FALSE(stub_->AcquireLease(&context, request, &unused).ok()); });
  EXPECT_TRUE(Eventually([&] { return directory_.followers() == 1; }));
  context.TryCancel();
  gives_up.join();
  EXPECT_TRUE(Eventually([&] {
    timer_.Tick();
    return directory_.followers() == 0;
  }));
  directory_.Set("acme", v1::TENANT_STATE_ACTIVE);
  EXPECT_EQ(book_.size(), 0u);
}

TEST_F(LeaseServiceTest, RenewReleaseGet) {
  const v1::Lease lease = Acquired(Request());
  v1::RenewLeaseRequest renew;
  renew.set_id(lease.id());
  *renew.mutable_ttl() = FromDuration(absl::Hours(2));
  const auto renewed = Call<v1::Lease>(&v1::LeaseService::Stub::RenewLease, renew);
  ASSERT_TRUE(renewed.ok());
  EXPECT_EQ(ToTime(renewed->expire_time()), clock_.Now() + absl::Hours(2));
  *renew.mutable_ttl() = FromDuration(absl::Hours(25));
  EXPECT_EQ(ReasonOf(Call<v1::Lease>(&v1::LeaseService::Stub::RenewLease, renew).status()), v1::REASON_INVALID_FIELD);

  v1::ReleaseLeaseRequest release;
  release.set_id(lease.id());
  for (int i = 0; i < 2; ++i) {
    const auto released = Call<v1::Lease>(&v1::LeaseService::Stub::ReleaseLease, release);
    ASSERT_TRUE(released.ok());
    EXPECT_EQ(released->state(), v1::LEASE_STATE_RELEASED);
  }
  EXPECT_EQ(Get(lease.id())->state(), v1::LEASE_STATE_RELEASED);
  renew.clear_ttl();
  EXPECT_EQ(ReasonOf(Call<v1::Lease>(&v1::LeaseService::Stub::RenewLease, renew).status()), v1::REASON_LEASE_RELEASED);
  EXPECT_EQ(DetailOf(Get("nonsense").status())->field(), "id");
  EXPECT_EQ(ReasonOf(Get("00000000000000000000000000").status()), v1::REASON_LEASE_NOT_FOUND);
}

TEST_F(LeaseServiceTest, SwitchObeysTheLeaseAndTheTenant) {
  v1::AcquireLeaseRequest request = Request();
  request.add_switch_to("glob*");
  const std::string id = Acquired(request).id();
  EXPECT_EQ(Switch(id, "globex")->current_tenant(), "globex");
  EXPECT_EQ(Switch(id, "")->current_tenant(), "acme");
  EXPECT_EQ(ReasonOf(Switch(id, "initech").status()), v1::REASON_SWITCH_NOT_ALLOWED);
  EXPECT_EQ(ReasonOf(Switch(id, "globe").status()), v1::REASON_TENANT_NOT_FOUND);
  EXPECT_EQ(ReasonOf(Switch(id, "No_Tenant").status()), v1::REASON_INVALID_FIELD);
  directory_.Set("globex", v1::TENANT_STATE_PROVISIONING, v1::SERVICE_STATE_PENDING);
  EXPECT_EQ(ReasonOf(Switch(id, "globex").status()), v1::REASON_TENANT_NOT_READY);
  EXPECT_EQ(Get(id)->current_tenant(), "acme");

  v1::AcquireLeaseRequest central;
  central.set_connection("central");
  central.set_service("identity");
  central.add_switch_to("*");
  const std::string middleware = Acquired(central).id();
  EXPECT_EQ(Switch(middleware, "acme")->current_tenant(), "acme");
  EXPECT_EQ(Switch(middleware, "")->current_tenant(), "");
}

TEST_F(LeaseServiceTest, ListPagesThroughLivingLeases) {
  for (int i = 0; i < 5; ++i) {
    Acquired(Request(i % 2 == 0 ? "acme" : "globex"));
    clock_.Advance(absl::Milliseconds(1));
  }
  v1::ListLeasesRequest request;
  request.set_page_size(2);
  std::vector<std::string> ids;
  int pages = 0;
  do {
    const auto page = Call<v1::ListLeasesResponse>(&v1::LeaseService::Stub::ListLeases, request);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const v1::Lease& lease : page->leases()) ids.push_back(lease.id());
    request.set_page_token(page->next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(ids.size(), 5u);
  EXPECT_TRUE(std::ranges::is_sorted(ids));
  request.set_tenant("globex");
  EXPECT_EQ(Call<v1::ListLeasesResponse>(&v1::LeaseService::Stub::ListLeases, request)->leases_size(), 2);
  request.set_page_token("nonsense");
  EXPECT_EQ(ReasonOf(Call<v1::ListLeasesResponse>(&v1::LeaseService::Stub::ListLeases, request).status()),
            v1::REASON_BAD_PAGE_TOKEN);
  request.clear_page_token();
  request.set_page_size(1001);
  EXPECT_EQ(ReasonOf(Call<v1::ListLeasesResponse>(&v1::LeaseService::Stub::ListLeases, request).status()),
            v1::REASON_INVALID_FIELD);
}

TEST_F(LeaseServiceTest, RevokeNeedsAConditionAndEndsWhatMatches) {
  v1::AcquireLeaseRequest request = Request();
  request.set_holder("payroll");
  const std::string payroll = Acquired(request).id();
  const std::string other = Acquired(Request()).id();
  EXPECT_EQ(ReasonOf(Revoke({}).status()), v1::REASON_INVALID_FIELD);
  v1::RevokeLeasesRequest revoke;
  revoke.set_holder("payroll");
  EXPECT_EQ(Revoke(revoke)->revoked(), 1);
  EXPECT_EQ(Get(payroll)->state(), v1::LEASE_STATE_REVOKED);
  EXPECT_EQ(Get(other)->state(), v1::LEASE_STATE_ACTIVE);
  EXPECT_EQ(Acquired(request).state(), v1::LEASE_STATE_ACTIVE) << "issued after the call";
  revoke.set_tenant("globex");
  EXPECT_EQ(Revoke(revoke)->revoked(), 0);
}

TEST_F(LeaseServiceTest, SessionsAreCounted) {
  const v1::Lease lease = Acquired(Request());
  const auto watch =
      watchers_.Add(*LeaseId::Parse(lease.id()), LeaseWatchers::Kind::kSession, [](const absl::Status&) {});
  EXPECT_EQ(Get(lease.id())->sessions(), 1);
}

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
