#include "services/gateway/pool/vitals.h"

#include <gtest/gtest.h>

#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

absl::Duration At(int seconds) { return absl::Seconds(1000 + seconds); }
absl::Status Down() { return Error(v1::REASON_INSTANCE_UNAVAILABLE, "down"); }

TEST(VitalsTest, NothingIsKnownOfWhomNobodyHeard) {
  const Vitals vitals;
  EXPECT_FALSE(vitals.heard());
  EXPECT_FALSE(vitals.failing());
  EXPECT_EQ(vitals.QuietFor(At(0)), At(0));
}

TEST(VitalsTest, FailsFromTheFirstFailureToTheNextAnswer) {
  Vitals vitals;
  vitals.Answered(At(0), absl::Milliseconds(3));
  vitals.Failed(At(10), Down());
  vitals.Failed(At(20), Down());
  EXPECT_TRUE(vitals.failing());
  EXPECT_EQ(vitals.FailingFor(At(25)), absl::Seconds(15));
  EXPECT_EQ(vitals.QuietFor(At(25)), absl::Seconds(5));
  EXPECT_EQ(ReasonOf(vitals.status()), v1::REASON_INSTANCE_UNAVAILABLE);
  EXPECT_EQ(vitals.took(), absl::Milliseconds(3)) << "of the last answer";
  vitals.Answered(At(30));
  EXPECT_TRUE(vitals.status().ok());
  EXPECT_EQ(vitals.FailingFor(At(31)), absl::ZeroDuration());
  vitals.Failed(At(40), Down());
  EXPECT_EQ(vitals.FailingFor(At(41)), absl::Seconds(1)) << "another failure";
}

}  // namespace
}  // namespace leasehold::gateway
