#include <gmock/gmock.h>

#include <thread>

#include "services/gateway/api/lease_service_fixture.h"

namespace leasehold::gateway {
namespace {

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
  directory_.Set("globex", v1::TENANT_STATE_ACTIVE);
  directory_.SetCached("globex", v1::TENANT_STATE_PROVISIONING, v1::SERVICE_STATE_PENDING);
  EXPECT_EQ(Switch(id, "globex")->current_tenant(), "globex") << "the cache is behind";

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

TEST_F(LeaseServiceTest, RevokeOfWhatIsNotThereSaysSo) {
  v1::RevokeLeasesRequest revoke;
  revoke.set_tenant("nosuch");
  directory_.Remove("nosuch");
  const absl::Status nobody = Revoke(revoke).status();
  EXPECT_EQ(ReasonOf(nobody), v1::REASON_TENANT_NOT_FOUND);
  EXPECT_THAT(std::string(nobody.message()), testing::HasSubstr("nosuch"));
  directory_.SetDown(true);
  EXPECT_EQ(Revoke(revoke)->revoked(), 0) << "nobody knows: no reason to refuse";
  directory_.SetDown(false);

  revoke.Clear();
  revoke.set_service("payroll");
  EXPECT_EQ(ReasonOf(Revoke(revoke).status()), v1::REASON_SERVICE_NOT_FOUND);

  const std::string id = Acquired(Request()).id();
  revoke.Clear();
  revoke.set_id(id);
  EXPECT_EQ(Revoke(revoke)->revoked(), 1);
  EXPECT_EQ(Revoke(revoke)->revoked(), 0) << "it has ended already";
  revoke.set_id("01arz3ndektsv4rrffq69g5fav");
  EXPECT_EQ(ReasonOf(Revoke(revoke).status()), v1::REASON_LEASE_NOT_FOUND);

  // The condition holds all the same: a lease of the tenant that another gateway issued before is refused here.
  revoke.Clear();
  revoke.set_tenant("globex");
  const std::string globex = Acquired(Request("globex")).id();
  directory_.Remove("globex");
  EXPECT_EQ(Revoke(revoke)->revoked(), 1);
  EXPECT_EQ(Get(globex)->state(), v1::LEASE_STATE_REVOKED);
}

TEST_F(LeaseServiceTest, SessionsAreCounted) {
  const v1::Lease lease = Acquired(Request());
  const auto watch =
      watchers_.Add(*LeaseId::Parse(lease.id()), LeaseWatchers::Kind::kSession, [](const absl::Status&) {});
  EXPECT_EQ(Get(lease.id())->sessions(), 1);
}

}  // namespace
}  // namespace leasehold::gateway
