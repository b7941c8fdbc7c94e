// Quotas of the policy, over a real gRPC server.
#include <gmock/gmock.h>

#include "services/gateway/gate/gate_fixture.h"
#include "services/gateway/lease/claims.h"

namespace leasehold::gateway {
namespace {

using ::testing::HasSubstr;

constexpr char kPolicy[] = R"(
rules:
  - {name: all, principals: ["token:*"], operations: ["*"], services: ["*"], tenants: ["*"], access: [read-write]}
principal_quotas:
  - {principals: ["token:employee"], max_leases: 2, max_sessions_per_lease: 3}
  - {principals: ["token:reports"], acquires_per_minute: 60, acquire_burst: 2}
tenant_quotas:
  - {tenants: [globex], max_leases: 3}
)";

class QuotaTest : public GateTest {
 protected:
  QuotaTest() { SetPolicy(kPolicy); }
};

TEST_F(QuotaTest, LeasesOfAPrincipalAreBounded) {
  const auto first = Acquire("employee", Request("acme"));
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_EQ(Try("employee", Request("globex")), "OK");
  const absl::Status refused = Acquire("employee", Request("acme")).status();
  EXPECT_EQ(ReasonOf(refused), v1::REASON_QUOTA_EXCEEDED);
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_EQ(refused.message(), "token:employee has 2 leases, its quota");
  ASSERT_TRUE(DetailOf(refused)->has_retry_after());
  EXPECT_EQ(Try("operator", Request("acme")), "OK") << "others have their own";

  EXPECT_EQ(OnLease<v1::ReleaseLeaseRequest>("employee", &v1::LeaseService::Stub::ReleaseLease, first->lease().id()),
            "OK");
  EXPECT_EQ(Try("employee", Request("acme")), "OK");
  EXPECT_EQ(Try("employee", Request("acme")), "QUOTA_EXCEEDED");
  clock_.Advance(absl::Minutes(15));
  book_.Tick();
  EXPECT_EQ(Try("employee", Request("acme")), "OK") << "those before have expired";
  EXPECT_THAT(metrics_.Expose(), HasSubstr("leasehold_quota_refusals_total{quota=\"principal_leases\"} 2"));
}

TEST_F(QuotaTest, ARepeatedRequestIsNoSecondLease) {
  v1::AcquireLeaseRequest request = Request("acme");
  request.set_request_id("once");
  const auto first = Acquire("employee", request);
  ASSERT_EQ(Try("employee", Request("acme")), "OK");
  const auto again = Acquire("employee", request);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->lease().id(), first->lease().id());
}

TEST_F(QuotaTest, LeasesOfATenantAreBoundedWhoeverAcquires) {
  EXPECT_EQ(Try("employee", Request("globex")), "OK");
  EXPECT_EQ(Try("operator", Request("globex")), "OK");
  EXPECT_EQ(Try("stranger", Request("globex", "core")), "OK");
  const absl::Status refused = Acquire("operator", Request("globex")).status();
  EXPECT_EQ(refused.message(), "tenant globex has 3 leases, its quota");
  EXPECT_EQ(DetailOf(refused)->field(), "tenant_leases");
  EXPECT_EQ(Try("operator", Request("acme")), "OK");
}

TEST_F(QuotaTest, TheRateOfAcquiresIsBounded) {
  EXPECT_EQ(Try("reports", Request("acme")), "OK");
  EXPECT_EQ(Try("reports", Request("acme")), "OK");
  const absl::Status refused = Acquire("reports", Request("acme")).status();
  EXPECT_EQ(ReasonOf(refused), v1::REASON_QUOTA_EXCEEDED);
  EXPECT_EQ(ToDuration(DetailOf(refused)->retry_after()), absl::Seconds(1));
  EXPECT_EQ(Try("operator", Request("acme")), "OK");
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Try("reports", Request("acme")), "OK");
  EXPECT_EQ(Try("reports", Request("acme")), "QUOTA_EXCEEDED");
  EXPECT_THAT(metrics_.Expose(), HasSubstr("leasehold_calls_refused_total{reason=\"QUOTA_EXCEEDED\"} 2"));
}

TEST_F(QuotaTest, ALeaseCarriesItsBoundOnSessions) {
  const auto acquired = Acquire("employee", Request("acme"));
  const auto claims = ParseUserName(acquired->credentials().user());
  ASSERT_TRUE(claims.ok());
  EXPECT_EQ(claims->max_sessions(), 3u);
  EXPECT_EQ(ParseUserName(Acquire("operator", Request("acme"))->credentials().user())->max_sessions(), 0u);
}

}  // namespace
}  // namespace leasehold::gateway
