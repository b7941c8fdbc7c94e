#include "services/gateway/lease/acquisition.h"

#include <gmock/gmock.h>

#include <optional>

#include "common/status/error.h"
#include "services/gateway/lease/claims.h"
#include "services/gateway/lease/lease_room.h"

namespace leasehold::gateway {
namespace {

class AcquisitionTest : public LeaseRoomTest {
 protected:
  LeaseTerms Terms(absl::Duration wait_ready = absl::ZeroDuration()) {
    return {.service = *ServiceName::Parse("identity"),
            .tenant = *TenantId::Parse("acme"),
            .ttl = absl::Minutes(1),
            .wait_ready = wait_ready};
  }
  std::shared_ptr<Acquisition> Start(LeaseTerms terms) {
    return Acquisition::Start({issuer_, directory_, timer_}, std::move(terms),
                              [this](absl::StatusOr<LeaseIssuer::Issued> issued) {
                                EXPECT_FALSE(answer_.has_value()) << "a second answer";
                                answer_ = std::move(issued);
                              });
  }
  Reason Answer() { return answer_ ? ReasonOf(answer_->status()) : v1::REASON_INTERNAL; }

  std::optional<absl::StatusOr<LeaseIssuer::Issued>> answer_;
};

TEST_F(AcquisitionTest, ReadyTenantIsAnsweredAtOnce) {
  directory_.Set("acme", v1::TENANT_STATE_ACTIVE);
  const auto acquisition = Start(Terms());
  EXPECT_TRUE(acquisition->answered());
  EXPECT_EQ(Answer(), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(ParseUserName((*answer_)->credentials.user())->database_id(), "00112233445566aa");
}

TEST_F(AcquisitionTest, RefusalsAreAnsweredAtOnce) {
  Start(Terms(absl::Minutes(1)));
  EXPECT_EQ(Answer(), v1::REASON_TENANT_NOT_FOUND);
  answer_.reset();
  directory_.Set("acme", v1::TENANT_STATE_SUSPENDED);
  Start(Terms(absl::Minutes(1)));
  EXPECT_EQ(Answer(), v1::REASON_TENANT_SUSPENDED);
  answer_.reset();
  directory_.Set("acme", v1::TENANT_STATE_PROVISIONING, v1::SERVICE_STATE_PENDING);
  Start(Terms());
  EXPECT_EQ(Answer(), v1::REASON_TENANT_NOT_READY);
  answer_.reset();
  directory_.SetDown(true);
  Start(Terms(absl::Minutes(1)));
  EXPECT_EQ(Answer(), v1::REASON_REGISTRY_UNAVAILABLE);
  EXPECT_EQ(book_.size(), 0u);
}

TEST_F(AcquisitionTest, ByDomain) {
  directory_.Set("acme", v1::TENANT_STATE_ACTIVE);
  directory_.SetDomain("acme.example", "acme");
  LeaseTerms terms = Terms();
  terms.tenant = std::nullopt;
  terms.domain = "acme.example";
  Start(terms);
  ASSERT_EQ(Answer(), v1::REASON_UNSPECIFIED);
  EXPECT_EQ((*answer_)->lease.tenant(), "acme");
}

TEST_F(AcquisitionTest, NobodyIsRefusedForWhatTheCacheSaysAlone) {
  for (const absl::Duration wait_ready : {absl::ZeroDuration(), absl::Minutes(1)}) {
    for (const v1::TenantState cached : {v1::TENANT_STATE_PROVISIONING, v1::TENANT_STATE_SUSPENDED}) {
      directory_.Set("acme", v1::TENANT_STATE_ACTIVE);
      directory_.SetCached("acme", cached, v1::SERVICE_STATE_PENDING);
      Start(Terms(wait_ready));
      EXPECT_EQ(Answer(), v1::REASON_UNSPECIFIED);
      answer_.reset();
    }
  }
  directory_.SetCached("acme", v1::TENANT_STATE_SUSPENDED, v1::SERVICE_STATE_CLOSED);
  directory_.SetDown(true);
  Start(Terms());
  EXPECT_EQ(Answer(), v1::REASON_TENANT_SUSPENDED) << "the registry does not answer";
}

TEST_F(AcquisitionTest, ReadyInTheCacheIsTakenFromThere) {
  directory_.Set("acme", v1::TENANT_STATE_ACTIVE);
  directory_.SetCached("acme", v1::TENANT_STATE_ACTIVE);
  Start(Terms());
  EXPECT_EQ(Answer(), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(directory_.lookups(), 0u);
}

TEST_F(AcquisitionTest, AWaitByDomainDoesNotBeginWithWhatTheCacheSays) {
  directory_.Set("acme", v1::TENANT_STATE_PROVISIONING, v1::SERVICE_STATE_PENDING);
  directory_.SetDomain("acme.example", "acme");
  directory_.SetCached("acme", v1::TENANT_STATE_SUSPENDED, v1::SERVICE_STATE_CLOSED);
  LeaseTerms terms = Terms(absl::Minutes(1));
  terms.tenant = std::nullopt;
  terms.domain = "acme.example";
  const auto acquisition = Start(terms);
  EXPECT_FALSE(acquisition->answered());
  directory_.Set("acme", v1::TENANT_STATE_ACTIVE);
  EXPECT_EQ(Answer(), v1::REASON_UNSPECIFIED);
}

TEST_F(AcquisitionTest, WaitsUntilReady) {
  directory_.Set("acme", v1::TENANT_STATE_PROVISIONING, v1::SERVICE_STATE_PENDING);
  const auto acquisition = Start(Terms(absl::Minutes(1)));
  EXPECT_FALSE(acquisition->answered());
  Pass(absl::Seconds(59));
  EXPECT_FALSE(acquisition->answered());
  directory_.Set("acme", v1::TENANT_STATE_PROVISIONING, v1::SERVICE_STATE_READY);
  EXPECT_EQ(Answer(), v1::REASON_UNSPECIFIED);
  Pass(absl::Seconds(2));
  EXPECT_EQ(directory_.followers(), 0u);
}

TEST_F(AcquisitionTest, WaitingEndsAtTheDeadline) {
  directory_.Set("acme", v1::TENANT_STATE_PROVISIONING, v1::SERVICE_STATE_PENDING);
  const auto acquisition = Start(Terms(absl::Minutes(1)));
  Pass(absl::Minutes(1));
  EXPECT_EQ(Answer(), v1::REASON_DEADLINE_EXCEEDED);
  EXPECT_THAT(std::string(answer_->status().message()), testing::HasSubstr("1m"));
  timer_.Tick();
  EXPECT_EQ(directory_.followers(), 0u);
  directory_.Set("acme", v1::TENANT_STATE_ACTIVE);
  EXPECT_EQ(book_.size(), 0u);
}

TEST_F(AcquisitionTest, WaitingEndsWhenItIsInVain) {
  directory_.Set("acme", v1::TENANT_STATE_PROVISIONING, v1::SERVICE_STATE_PENDING);
  const auto acquisition = Start(Terms(absl::Minutes(1)));
  directory_.Set("acme", v1::TENANT_STATE_DELETED, v1::SERVICE_STATE_CLOSED);
  EXPECT_EQ(Answer(), v1::REASON_TENANT_DELETED);
}

TEST_F(AcquisitionTest, AbandonedMakesNoLease) {
  directory_.Set("acme", v1::TENANT_STATE_PROVISIONING, v1::SERVICE_STATE_PENDING);
  const auto acquisition = Start(Terms(absl::Minutes(1)));
  acquisition->Abandon(Error(v1::REASON_SHUTTING_DOWN, "over"));
  EXPECT_EQ(Answer(), v1::REASON_SHUTTING_DOWN);
  acquisition->Abandon(absl::CancelledError(""));
  directory_.Set("acme", v1::TENANT_STATE_ACTIVE);
  EXPECT_EQ(book_.size(), 0u);
  timer_.Tick();
  EXPECT_EQ(directory_.followers(), 0u);
}

TEST_F(AcquisitionTest, RepeatedRequestGetsTheSameCredentials) {
  directory_.Set("acme", v1::TENANT_STATE_ACTIVE);
  LeaseTerms terms = Terms();
  terms.request_id = "r1";
  terms.request_hash = 1;
  Start(terms);
  const std::string dsn = (*answer_)->credentials.dsn();
  answer_.reset();
  clock_.Advance(absl::Seconds(10));
  directory_.SetDown(true);  // not even looked up again
  Start(terms);
  ASSERT_EQ(Answer(), v1::REASON_UNSPECIFIED);
  EXPECT_TRUE((*answer_)->repeated);
  EXPECT_EQ((*answer_)->credentials.dsn(), dsn);
  answer_.reset();
  terms.request_hash = 2;
  Start(terms);
  EXPECT_EQ(Answer(), v1::REASON_REQUEST_ID_REUSED);
}

}  // namespace
}  // namespace leasehold::gateway
