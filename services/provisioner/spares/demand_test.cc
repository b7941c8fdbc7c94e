#include "services/provisioner/spares/demand.h"

#include <gtest/gtest.h>

namespace leasehold::provisioner {
namespace {

constexpr absl::Time kStart = absl::UnixEpoch();

TEST(DemandTest, IsTheLeastBeforeAnybodyCame) { EXPECT_EQ(Demand(2, 32).Target(kStart), 2); }

TEST(DemandTest, GrowsWithArrivalsUpToTheMost) {
  Demand demand(2, 32);
  demand.Came(10, kStart);
  EXPECT_EQ(demand.Target(kStart), 5);  // ten a minute, for thirty seconds
  demand.Came(1000, kStart);
  EXPECT_EQ(demand.Target(kStart), 32);
}

TEST(DemandTest, AtASteadyRateItIsWhatComesInTheTimeToCover) {
  Demand demand(0, 100);
  absl::Time now = kStart;
  for (int i = 0; i < 600; ++i) demand.Came(1, now += absl::Seconds(2));
  EXPECT_NEAR(demand.Target(now), 15, 1);
}

TEST(DemandTest, WhatTakesLongToMakeIsKeptInGreaterNumber) {
  Demand fast(0, 100), slow(0, 100);
  slow.Took(absl::Seconds(30));
  fast.Came(20, kStart);
  slow.Came(20, kStart);
  EXPECT_EQ(fast.Target(kStart), 10);
  EXPECT_EQ(slow.Target(kStart), 20);
}

TEST(DemandTest, IsHalvedAsTimePassesDownToTheLeast) {
  Demand demand(2, 32);
  demand.Came(1000, kStart);
  EXPECT_EQ(demand.Target(kStart + Demand::kHalfLife), 16);
  EXPECT_EQ(demand.Target(kStart + 2 * Demand::kHalfLife), 8);
  EXPECT_EQ(demand.Target(kStart + absl::Hours(24)), 2);
}

TEST(DemandTest, LookingOftenChangesNothing) {
  Demand demand(0, 1000), watched(0, 1000);
  demand.Came(1000, kStart);
  watched.Came(1000, kStart);
  absl::Time now = kStart;
  for (int i = 0; i < 600; ++i) watched.Target(now += absl::Seconds(1));
  EXPECT_NEAR(watched.Target(now), demand.Target(now), 1);
}

TEST(DemandTest, AClockThatIsSetBackLosesNothing) {
  Demand demand(2, 32);
  demand.Came(40, kStart);
  EXPECT_EQ(demand.Target(kStart - absl::Hours(1)), 20);
}

TEST(DemandTest, TheMostCountsAlsoAgainstTheLeast) {
  Demand none(2, 0);
  none.Came(100, kStart);
  EXPECT_EQ(none.Target(kStart), 0);
}

}  // namespace
}  // namespace leasehold::provisioner
