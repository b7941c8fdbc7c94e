// A lease that is held by a stream outlives neither what the policy allows nor the token that it was acquired by.
#include <gmock/gmock.h>

#include "services/gateway/gate/gate_fixture.h"

namespace leasehold::gateway {
namespace {

constexpr std::string_view kEmployee = R"(
rules:
  - name: employee
    principals: ["token:employee"]
    operations: [lease.acquire]
    services: [identity]
    tenants: [TENANTS]
    access: [read-write]
)";

std::string PolicyFor(std::string_view tenants) {
  std::string text(kEmployee);
  return text.replace(text.find("TENANTS"), sizeof("TENANTS") - 1, tenants);
}

class HoldTest : public GateTest {
 protected:
  // One stream, with its lease.
  struct Hold {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::AcquireLeaseResponse>> stream;
    std::string lease;
  };
  std::unique_ptr<Hold> Begin(const std::string& caller, const v1::AcquireLeaseRequest& request) {
    auto hold = std::make_unique<Hold>();
    hold->context.AddMetadata("authorization", "Bearer " + tokens_.at(caller));
    hold->stream = leases_->HoldLease(&hold->context, request);
    v1::AcquireLeaseResponse response;
    EXPECT_TRUE(hold->stream->Read(&response));
    hold->lease = response.lease().id();
    return hold;
  }
  // A third of the ttl passes.
  bool Renewed(Hold& hold) {
    Pass(absl::Seconds(5));
    v1::AcquireLeaseResponse response;
    return hold.stream->Read(&response) && response.lease().id() == hold.lease;
  }
  v1::Reason End(Hold& hold) {
    Pass(absl::Seconds(5));
    v1::AcquireLeaseResponse response;
    EXPECT_FALSE(hold.stream->Read(&response));
    const v1::Reason reason = ReasonOf(FromGrpc(hold.stream->Finish(), "test"));
    EXPECT_TRUE(Eventually([&] {
      const auto record = book_.Get(*LeaseId::Parse(hold.lease));
      return record.ok() && record->state() == v1::LEASE_STATE_RELEASED;
    }));
    return reason;
  }
  void SetTokensBut(std::string_view revoked) {
    ApiTokens tokens;
    for (const auto& [name, text] : tokens_) {
      ApiToken kept = MakeApiToken(name, clock_.Now(), absl::InfiniteFuture()).kept;
      kept.sha256 = Hex(Digest(text));
      if (name == revoked) continue;
      EXPECT_TRUE(tokens.Add(kept).ok());
    }
    authenticator_.SetTokens(std::move(tokens));
  }
  static std::string Digest(std::string_view text) {
    const auto digest = Sha256(text);
    return {reinterpret_cast<const char*>(digest.data()), digest.size()};
  }
};

TEST_F(HoldTest, EndsWithWhatThePolicyAllows) {
  SetPolicy(PolicyFor("\"acme*\""));
  const auto hold = Begin("employee", Request("acme"));
  const auto by_domain = [&] {
    v1::AcquireLeaseRequest request = Request("");
    request.set_domain("acme.example.org");
    return Begin("employee", request);
  }();
  ASSERT_TRUE(Renewed(*hold));
  SetPolicy(PolicyFor("acme"));
  EXPECT_TRUE(Renewed(*hold)) << "what is still allowed goes on";
  SetPolicy(PolicyFor("globex"));
  EXPECT_EQ(End(*hold), v1::REASON_NOT_PERMITTED);
  v1::AcquireLeaseResponse renewed;
  while (by_domain->stream->Read(&renewed)) {
  }
  EXPECT_EQ(ReasonOf(FromGrpc(by_domain->stream->Finish(), "test")), v1::REASON_NOT_PERMITTED);
}

TEST_F(HoldTest, EndsWithAPolicyThatComesLater) {
  const auto hold = Begin("stranger", Request("acme"));
  ASSERT_TRUE(Renewed(*hold));
  SetPolicy(PolicyFor("acme"));
  EXPECT_EQ(End(*hold), v1::REASON_NOT_PERMITTED);
}

TEST_F(HoldTest, EndsWithItsToken) {
  SetPolicy(PolicyFor("acme"));
  const auto hold = Begin("employee", Request("acme"));
  SetTokensBut("reports");
  ASSERT_TRUE(Renewed(*hold)) << "another's token was revoked";
  // One of the same name that is another does not do.
  ApiTokens tokens;
  ASSERT_TRUE(tokens.Add(MakeApiToken("employee", clock_.Now(), absl::InfiniteFuture()).kept).ok());
  authenticator_.SetTokens(std::move(tokens));
  EXPECT_EQ(End(*hold), v1::REASON_BAD_TOKEN);
}

TEST_F(HoldTest, GoesOnWhereNobodyCanTell) {
  std::string by_setting = PolicyFor("nobody");
  by_setting += "    tenant_settings: [\"tier=gold\"]\n";
  directory_.SetSettings("acme", {{"tier", "gold"}});
  SetPolicy(by_setting);
  const auto hold = Begin("employee", Request("acme"));
  directory_.SetDown(true);
  EXPECT_TRUE(Renewed(*hold));
  directory_.SetDown(false);
  directory_.SetSettings("acme", {{"tier", "silver"}});
  EXPECT_EQ(End(*hold), v1::REASON_NOT_PERMITTED);
}

}  // namespace
}  // namespace leasehold::gateway
