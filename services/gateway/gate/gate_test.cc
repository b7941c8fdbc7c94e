#include "services/gateway/gate/gate.h"

#include <gmock/gmock.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/gateway/gate/gate_fixture.h"

namespace leasehold::gateway {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Leases = v1::LeaseService::Stub;

constexpr char kPolicy[] = R"(
rules:
  - name: employee
    principals: ["token:employee"]
    operations: [lease.*]
    services: [identity]
    tenants: ["acme*"]
    connections: [central]
    access: [read-write]
    switch_to: ["acme*"]
    max_ttl: 5m
  - name: reports
    principals: ["token:reports"]
    operations: [lease.acquire]
    services: ["*"]
    tenant_settings: [tier=gold]
    access: [read-only]
  - name: operators
    principals: ["token:operator"]
    operations: ["*"]
    services: ["*"]
    tenants: ["*"]
    access: [read-write]
    others_leases: true
)";

TEST_F(GateTest, WithoutAPolicyAnybodyMayDoEverything) {
  const auto acquired = Acquire("", Request("globex"));
  ASSERT_TRUE(acquired.ok()) << acquired.status();
  EXPECT_EQ(acquired->lease().principal(), "anonymous");
  EXPECT_EQ(Acquire("employee", Request("globex"))->lease().principal(), "token:employee");
}

TEST_F(GateTest, TheHandlerIsAtWorkForTheCallsTrace) {
  // The id in the line that tells of a new lease.
  const auto traced = [this](std::initializer_list<std::string> traceparents) {
    ::testing::internal::CaptureStderr();
    grpc::ClientContext context;
    for (const std::string& traceparent : traceparents) context.AddMetadata("traceparent", traceparent);
    v1::AcquireLeaseResponse response;
    const grpc::Status status = leases_->AcquireLease(&context, Request("acme"), &response);
    const std::string log = ::testing::internal::GetCapturedStderr();
    EXPECT_TRUE(status.ok()) << status.error_message();
    constexpr std::string_view kField = "\"trace_id\":\"";
    const size_t at = log.find(kField);
    EXPECT_NE(at, std::string::npos) << log;
    return at == std::string::npos ? "" : log.substr(at + kField.size(), 32);
  };
  const std::string id = "4bf92f3577b34da6a3ce929d0e0e4736";
  const std::string good = "00-" + id + "-00f067aa0ba902b7-01";
  EXPECT_EQ(traced({good}), id);
  std::set<std::string> begun;
  for (const std::string& other : {traced({}), traced({"00-" + id}), traced({good, good}), traced({"", good})}) {
    EXPECT_EQ(other.find_first_not_of("0123456789abcdef"), std::string::npos) << other;
    EXPECT_NE(other, id);
    begun.insert(other);
  }
  EXPECT_EQ(begun.size(), 4u) << "each its own";
}

TEST_F(GateTest, ABadTokenIsRefusedAlsoWithoutAPolicy) {
  tokens_["thief"] = "lht_" + std::string(43, 'A');
  EXPECT_EQ(Try("thief", Request("acme")), "BAD_TOKEN");
  EXPECT_EQ(book_.live(), 0u);
}

TEST_F(GateTest, WhatNoRuleAllowsIsRefusedBeforeAnyWork) {
  SetPolicy(kPolicy);
  const size_t lookups = directory_.lookups();
  EXPECT_EQ(Try("", Request("acme")), "NO_CREDENTIALS");
  EXPECT_EQ(Try("stranger", Request("acme")), "NOT_PERMITTED");
  EXPECT_EQ(Try("employee", Request("globex")), "NOT_PERMITTED");
  EXPECT_EQ(Try("employee", Request("acme", "core")), "NOT_PERMITTED");
  EXPECT_EQ(Try("employee", Request("no-such-tenant")), "NOT_PERMITTED") << "what exists is not told";
  EXPECT_EQ(book_.live(), 0u);
  EXPECT_EQ(directory_.lookups(), lookups);
  const auto acquired = Acquire("employee", Request("acme"));
  ASSERT_TRUE(acquired.ok()) << acquired.status();
  EXPECT_EQ(acquired->lease().principal(), "token:employee");
  EXPECT_EQ(Try("employee", Request("acme", "identity-service")), "OK") << "another spelling of the same";
  EXPECT_THAT(metrics_.Expose(), HasSubstr("leasehold_calls_refused_total{reason=\"NOT_PERMITTED\"} 4"));
}

TEST_F(GateTest, ARefusalSaysWhatWasAskedAndNoMore) {
  SetPolicy(kPolicy);
  v1::AcquireLeaseRequest request = Request("globex");
  request.add_switch_to("*");
  const absl::Status refused = Acquire("employee", request).status();
  EXPECT_EQ(refused.message(),
            "token:employee may not lease.acquire, tenant globex, service identity, read-write, switching to *");
  EXPECT_TRUE(absl::IsPermissionDenied(refused));
  EXPECT_TRUE(absl::IsUnauthenticated(Acquire("", request).status()));
}

TEST_F(GateTest, SwitchingTtlAccessAndConnectionAreBounded) {
  SetPolicy(kPolicy);
  v1::AcquireLeaseRequest request = Request("acme");
  request.add_switch_to("acme-*");
  EXPECT_EQ(Try("employee", request), "OK");
  request.add_switch_to("*");
  EXPECT_EQ(Try("employee", request), "NOT_PERMITTED");

  request = Request("acme");
  *request.mutable_ttl() = FromDuration(absl::Minutes(5));
  EXPECT_EQ(Try("employee", request), "OK");
  *request.mutable_ttl() = FromDuration(absl::Minutes(6));
  EXPECT_EQ(Try("employee", request), "NOT_PERMITTED");

  request = Request("");
  request.set_connection("central");
  EXPECT_EQ(Try("employee", request), "OK");
  EXPECT_EQ(Try("operator", request), "NOT_PERMITTED") << "its rule names no connections";
  request.add_switch_to("*");
  EXPECT_EQ(Try("employee", request), "NOT_PERMITTED");

  request = Request("acme");
  EXPECT_EQ(Try("reports", request), "NOT_PERMITTED");
  directory_.SetSettings("acme", {{"tier", "gold"}});
  EXPECT_EQ(Try("reports", request), "NOT_PERMITTED");
  request.set_access(v1::ACCESS_READ_ONLY);
  EXPECT_EQ(Try("reports", request), "OK");
  request.set_tenant("globex");
  EXPECT_EQ(Try("reports", request), "NOT_PERMITTED");
}

TEST_F(GateTest, WithoutATtlALeaseGetsWhatItsRuleAllows) {
  SetPolicy(kPolicy);
  const auto acquired = Acquire("employee", Request("acme"));
  ASSERT_TRUE(acquired.ok());
  EXPECT_EQ(ToTime(acquired->lease().expire_time()), clock_.Now() + absl::Minutes(5));
  clock_.Advance(absl::Minutes(4));
  v1::RenewLeaseRequest renew;
  renew.set_id(acquired->lease().id());
  const auto renewed = Call<v1::Lease>("employee", &Leases::RenewLease, renew);
  ASSERT_TRUE(renewed.ok()) << renewed.status();
  EXPECT_EQ(ToTime(renewed->expire_time()), clock_.Now() + absl::Minutes(5));
  *renew.mutable_ttl() = FromDuration(absl::Hours(1));
  EXPECT_EQ(Outcome(Call<v1::Lease>("employee", &Leases::RenewLease, renew)), "NOT_PERMITTED");
}

TEST_F(GateTest, ByDomainTheTenantCounts) {
  SetPolicy(kPolicy);
  v1::AcquireLeaseRequest request;
  request.set_service("identity");
  request.set_domain("acme.example.org");
  const auto acquired = Acquire("employee", request);
  ASSERT_TRUE(acquired.ok()) << acquired.status();
  EXPECT_EQ(acquired->lease().tenant(), "acme");
  request.set_domain("globex.example.org");
  EXPECT_EQ(Try("employee", request), "NOT_PERMITTED");
  EXPECT_EQ(Try("stranger", request), "NOT_PERMITTED");
  // A refusal does not tell whose domain it is, nor whether it is anybody's.
  for (const char* domain : {"globex.example.org", "nobody.example.org"}) {
    request.set_domain(domain);
    for (const char* caller : {"employee", "stranger"}) {
      EXPECT_EQ(
          Acquire(caller, request).status().message(),
          absl::StrCat("token:", caller, " may not lease.acquire, domain ", domain, ", service identity, read-write"));
    }
  }
  EXPECT_EQ(Try("operator", request), "TENANT_NOT_FOUND") << "who may see all may know";
}

TEST_F(GateTest, AnothersLeaseIsOutOfReach) {
  SetPolicy(kPolicy);
  const std::string mine = Acquire("employee", Request("acme"))->lease().id();
  const std::string theirs = Acquire("operator", Request("acme"))->lease().id();
  EXPECT_EQ(OnLease<v1::GetLeaseRequest>("employee", &Leases::GetLease, mine), "OK");
  EXPECT_EQ(OnLease<v1::GetLeaseRequest>("employee", &Leases::GetLease, theirs), "NOT_PERMITTED");
  EXPECT_EQ(OnLease<v1::RenewLeaseRequest>("employee", &Leases::RenewLease, theirs), "NOT_PERMITTED");
  EXPECT_EQ(OnLease<v1::SwitchLeaseRequest>("employee", &Leases::SwitchLease, theirs), "NOT_PERMITTED");
  EXPECT_EQ(OnLease<v1::ReleaseLeaseRequest>("employee", &Leases::ReleaseLease, theirs), "NOT_PERMITTED");
  EXPECT_EQ(OnLease<v1::GetLeaseRequest>("operator", &Leases::GetLease, mine), "OK");
  EXPECT_EQ(OnLease<v1::GetLeaseRequest>("stranger", &Leases::GetLease, mine), "NOT_PERMITTED");
  const std::string unknown = "0" + std::string(25, '0');
  EXPECT_EQ(OnLease<v1::GetLeaseRequest>("employee", &Leases::GetLease, unknown), "LEASE_NOT_FOUND");

  v1::RevokeLeasesRequest revoke;
  revoke.set_tenant("acme");
  revoke.set_service("identity");
  const auto revoked = [&](const std::string& caller) {
    return Outcome(Call<v1::RevokeLeasesResponse>(caller, &Leases::RevokeLeases, revoke));
  };
  EXPECT_EQ(revoked("employee"), "NOT_PERMITTED") << "others' leases are among them";
  revoke.set_id(theirs);
  EXPECT_EQ(revoked("employee"), "NOT_PERMITTED");
  revoke.set_id(mine);
  EXPECT_EQ(revoked("employee"), "OK");
  // Beside one's own lease, another tenant is none of one's business, whether it exists or not.
  for (const char* tenant : {"globex", "nobody"}) {
    revoke.set_tenant(tenant);
    EXPECT_EQ(revoked("employee"), "NOT_PERMITTED") << tenant;
  }
  EXPECT_EQ(Outcome(Call<v1::ListLeasesResponse>("employee", &Leases::ListLeases, v1::ListLeasesRequest())),
            "NOT_PERMITTED");
  EXPECT_EQ(Outcome(Call<v1::ListLeasesResponse>("operator", &Leases::ListLeases, v1::ListLeasesRequest())), "OK");
}

// Who knows the request_id of another's call would be given its lease, to use it in the other's name.
TEST_F(GateTest, AnothersRequestIdIsNotOnes) {
  SetPolicy(kPolicy);
  v1::AcquireLeaseRequest request = Request("acme");
  request.set_request_id("once");
  const auto first = Acquire("operator", request);
  const auto second = Acquire("employee", request);
  ASSERT_TRUE(first.ok() && second.ok()) << first.status() << second.status();
  EXPECT_NE(second->lease().id(), first->lease().id());
  EXPECT_EQ(second->lease().principal(), "token:employee");
  EXPECT_EQ(Acquire("operator", request)->lease().id(), first->lease().id());
}

// A lease of another gateway that this one hears of when the gate has decided.
TEST_F(GateTest, ALeaseThatBecomesKnownBehindTheGateIsOutOfReach) {
  SetPolicy(kPolicy);
  LeaseBook other_book(clock_, watchers_, outbox_, {});
  LeaseIssuer other(keys_, services_, other_book, {"127.0.0.1", 7432});
  const auto test = [&](auto request, auto method) {
    LeaseTerms terms{.service = *ServiceName::Parse("identity"),
                     .tenant = TenantId::Parse("globex").value(),
                     .ttl = absl::Minutes(5),
                     .principal = "token:operator"};
    const auto issued = other.Issue(terms, terms.tenant, "00112233445566aa");
    ASSERT_TRUE(issued.ok()) << issued.status();
    between_ = [&] { book_.LearnNews(other_book.Get(issued->id).value()); };
    const std::string outcome = OnLease<decltype(request)>("employee", method, issued->lease.id());
    between_ = nullptr;
    EXPECT_EQ(outcome, "LEASE_NOT_FOUND");
    EXPECT_EQ(OnLease<decltype(request)>("employee", method, issued->lease.id()), "NOT_PERMITTED") << "now it is known";
    EXPECT_EQ(book_.Get(issued->id)->state(), v1::LEASE_STATE_ACTIVE);
  };
  test(v1::GetLeaseRequest(), &Leases::GetLease);
  test(v1::RenewLeaseRequest(), &Leases::RenewLease);
  test(v1::SwitchLeaseRequest(), &Leases::SwitchLease);
  test(v1::ReleaseLeaseRequest(), &Leases::ReleaseLease);
}

TEST_F(GateTest, ASwitchIsBoundedByRuleAndLease) {
  SetPolicy(kPolicy);
  v1::AcquireLeaseRequest request = Request("acme");
  request.add_switch_to("acme-*");
  const std::string id = Acquire("employee", request)->lease().id();
  const auto moved = [&](const std::string& tenant) {
    v1::SwitchLeaseRequest move;
    move.set_id(id);
    move.set_tenant(tenant);
    return Outcome(Call<v1::Lease>("employee", &Leases::SwitchLease, move));
  };
  EXPECT_EQ(moved("acme-eu"), "OK");
  EXPECT_EQ(moved(""), "OK");
  EXPECT_EQ(moved("globex"), "NOT_PERMITTED");
  EXPECT_EQ(moved("acme2"), "SWITCH_NOT_ALLOWED") << "the rule would, the lease does not";
}

TEST_F(GateTest, AHeldLeaseIsCheckedTheSame) {
  SetPolicy(kPolicy);
  const auto hold = [&](const std::string& caller, const v1::AcquireLeaseRequest& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    context.AddMetadata("authorization", "Bearer " + tokens_.at(caller));
    const auto stream = leases_->HoldLease(&context, request);
    v1::AcquireLeaseResponse first;
    if (stream->Read(&first)) {
      context.TryCancel();
      stream->Finish();
      return first.lease().principal();
    }
    return std::string(ReasonName(ReasonOf(FromGrpc(stream->Finish(), "test"))));
  };
  EXPECT_EQ(hold("employee", Request("acme")), "token:employee");
  EXPECT_EQ(hold("employee", Request("globex")), "NOT_PERMITTED");
  EXPECT_EQ(hold("stranger", Request("acme")), "NOT_PERMITTED");
}

TEST_F(GateTest, APolicyTakesEffectForTheNextCall) {
  SetPolicy(kPolicy);
  EXPECT_EQ(Try("stranger", Request("acme")), "NOT_PERMITTED");
  SetPolicy(
      "rules:\n- {name: a, principals: ['*'], operations: ['*'], services: ['*'], tenants: ['*'], access: "
      "[read-write]}");
  EXPECT_EQ(Try("stranger", Request("acme")), "OK");
  SetPolicy("");
  EXPECT_EQ(Try("operator", Request("acme")), "NOT_PERMITTED") << "an empty policy allows nothing";
}

TEST_F(GateTest, WhatIsMeantForSqlIsRefusedOrHarmless) {
  const std::string injection = "acme'; DROP DATABASE tenant_acme_identity; --";
  for (const bool with_policy : {false, true}) {
    if (with_policy) SetPolicy(kPolicy);
    const std::string caller = with_policy ? "operator" : "";
    v1::AcquireLeaseRequest request = Request(injection);
    EXPECT_NE(Try(caller, request), "OK");
    request = Request("acme", injection);
    EXPECT_NE(Try(caller, request), "OK");
    request = Request("acme");
    request.add_switch_to(injection);
    EXPECT_NE(Try(caller, request), "OK");
    request = Request("");
    request.set_connection(injection);
    EXPECT_NE(Try(caller, request), "OK");
    request.set_domain(injection);
    EXPECT_NE(Try(caller, request), "OK");
    EXPECT_NE(OnLease<v1::GetLeaseRequest>(caller, &Leases::GetLease, injection), "OK");
    // A holder is a text for people, and stays one.
    request = Request("acme");
    request.set_holder(injection);
    const auto held = Acquire(caller, request);
    ASSERT_TRUE(held.ok()) << held.status();
    EXPECT_EQ(held->lease().holder(), injection);
    EXPECT_THAT(held->credentials().user(), Not(HasSubstr("'")));
  }
}

TEST_F(GateTest, ExplainsToEachTheirOwnAndToOperatorsAll) {
  SetPolicy(kPolicy);
  v1::ExplainPolicyRequest request;
  request.set_operation("lease.acquire");
  request.set_service("identity");
  request.set_tenant("globex");
  const auto explain = [&](const std::string& caller) {
    return CallOn<v1::ExplainPolicyResponse>(*policies_, caller, &v1::PolicyService::Stub::ExplainPolicy, request);
  };
  const auto own = explain("employee");
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_FALSE(own->allowed());
  EXPECT_EQ(own->principal(), "token:employee");
  EXPECT_EQ(own->rules(0).why_not(), "it allows the tenants acme*");
  EXPECT_EQ(Outcome(explain("")), "NO_CREDENTIALS");
  request.set_principal("token:operator");
  EXPECT_EQ(Outcome(explain("employee")), "NOT_PERMITTED");
  const auto others = explain("operator");
  ASSERT_TRUE(others.ok()) << others.status();
  EXPECT_EQ(others->rule(), "operators");
  // Whether there is such a tenant, the answer about oneself does not tell.
  request.clear_principal();
  request.set_access(v1::ACCESS_READ_ONLY);
  const auto of_tenant = [&](const std::string& tenant) {
    request.set_tenant(tenant);
    return explain("reports")->rules(1).why_not();
  };
  EXPECT_EQ(of_tenant("globex"), "it allows the tenants none, and those with tier=gold");
  EXPECT_EQ(of_tenant("nobody"), of_tenant("globex"));
  request.set_principal("token:operator");
  request.set_operation("lease.acquire'; --");
  EXPECT_EQ(Outcome(explain("operator")), "INVALID_FIELD");
}

}  // namespace
}  // namespace leasehold::gateway
