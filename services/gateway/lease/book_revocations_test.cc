// What a revocation ends: by its conditions, and by when it was said.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/gateway/lease/book_fixture.h"

namespace leasehold::gateway {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

TEST_F(BookTest, RevocationEndsWhatAllItsConditionsMatch) {
  const auto acme = Add("acme");
  const auto globex = Add("globex");
  const auto watch_acme = Watch(acme);
  const auto watch_globex = Watch(globex);
  v1::Revocation conditions;
  conditions.set_tenant("acme");
  conditions.set_service("core");
  EXPECT_EQ(book_.Revoke(conditions), 0);
  conditions.set_service("identity");
  EXPECT_EQ(book_.Revoke(conditions), 1);
  EXPECT_THAT(heard_, ElementsAre(v1::REASON_LEASE_REVOKED));
  EXPECT_EQ(Check(acme), v1::REASON_LEASE_REVOKED);
  EXPECT_EQ(Check(globex), v1::REASON_UNSPECIFIED);
}

TEST_F(BookTest, RevocationByHolderAndById) {
  const auto payroll = AddFor("payroll");
  const auto reports = AddFor("reports");
  const auto third = AddFor("");
  v1::Revocation by_holder;
  by_holder.set_holder_hash(HolderHash("payroll"));
  EXPECT_EQ(book_.Revoke(by_holder), 1);
  v1::Revocation by_id;
  by_id.set_lease_id(reports.claims().id());
  EXPECT_EQ(book_.Revoke(by_id), 1);
  EXPECT_EQ(Check(payroll), v1::REASON_LEASE_REVOKED);
  EXPECT_EQ(Check(reports), v1::REASON_LEASE_REVOKED);
  EXPECT_EQ(Check(third), v1::REASON_UNSPECIFIED);
}

TEST_F(BookTest, RevocationWithoutConditionsEndsNothing) {
  const auto record = Add();
  EXPECT_EQ(book_.Revoke({}), 0);
  EXPECT_EQ(Check(record), v1::REASON_UNSPECIFIED);
  EXPECT_THAT(Told(), SizeIs(1));
}

TEST_F(BookTest, RevocationCatchesALeaseNeverHeardOfButNotOneIssuedAfter) {
  const v1::LeaseRecord elsewhere = RecordOf(Claims());  // given out by another gateway, at this very moment
  v1::Revocation conditions;
  conditions.set_tenant("acme");
  EXPECT_EQ(book_.Revoke(conditions), 0);
  EXPECT_EQ(Check(elsewhere), v1::REASON_LEASE_REVOKED);
  const auto later = Add();  // in the same millisecond
  EXPECT_EQ(Check(later), v1::REASON_UNSPECIFIED);
  book_.Revoke(conditions);
  EXPECT_EQ(Check(later), v1::REASON_LEASE_REVOKED);
}

TEST_F(BookTest, RevocationReachesALeaseLearntAfterwards) {
  const v1::LeaseRecord elsewhere = RecordOf(Claims());
  v1::Revocation conditions;
  conditions.set_before_ms(absl::ToUnixMillis(clock_.Now()));
  conditions.set_service("identity");
  book_.LearnRevocation(conditions);
  const auto watch = Watch(elsewhere);
  book_.Learn(elsewhere);
  EXPECT_THAT(heard_, ElementsAre(v1::REASON_LEASE_REVOKED));
  book_.LearnRevocation(conditions);
  EXPECT_THAT(heard_, SizeIs(1));
}

TEST_F(BookTest, SkewedRevocationDoesNotMoveIssueTimesFar) {
  v1::Revocation conditions;
  conditions.set_tenant("acme");
  conditions.set_before_ms(absl::ToUnixMillis(clock_.Now() + absl::Seconds(5)));
  book_.LearnRevocation(conditions);
  EXPECT_EQ(Check(Add()), v1::REASON_UNSPECIFIED);
  conditions.set_before_ms(absl::ToUnixMillis(clock_.Now() + absl::Hours(5)));
  book_.LearnRevocation(conditions);
  EXPECT_EQ(book_.IssueMs(), absl::ToUnixMillis(clock_.Now()));
}

TEST_F(BookTest, RevocationIsForgottenWhenNoLeaseCanBeThatOld) {
  const auto old = RecordOf(Claims("acme", absl::Hours(100)));
  v1::Revocation conditions;
  conditions.set_tenant("acme");
  book_.Revoke(conditions);
  Pass(absl::Hours(24));
  EXPECT_EQ(Check(old), v1::REASON_LEASE_REVOKED);
  Pass(absl::Hours(2));
  EXPECT_EQ(Check(old), v1::REASON_UNSPECIFIED);
}

}  // namespace
}  // namespace leasehold::gateway
