#include "services/gateway/pool/dial_rate.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace leasehold::gateway {
namespace {

// A PostgreSQL with so many cores, on which starting a connection takes one of them 4 ms.
absl::Duration TimeToDial(int at_a_time, int cores) {
  return absl::Milliseconds(4) * std::max(1.0, static_cast<double>(at_a_time) / cores);
}

int LimitAfter(DialRate& rate, int dials, int cores, absl::Duration& now) {
  for (int i = 0; i < dials; ++i) {
    const absl::Duration took = TimeToDial(rate.limit(), cores);
    now += took / rate.limit();
    rate.Took(took, now);
  }
  return rate.limit();
}

TEST(DialRateTest, FindsHowManyPostgresCanMakeAtATime) {
  absl::Duration now;
  DialRate small;
  const int on_two_cores = LimitAfter(small, 2'000, 2, now);
  EXPECT_GE(on_two_cores, 4);
  EXPECT_LE(on_two_cores, 10);
  DialRate large;
  EXPECT_GE(LimitAfter(large, 2'000, 16, now), 32);
  EXPECT_LE(large.limit(), DialRate::kMost);
}

TEST(DialRateTest, FollowsAMachineThatHasBecomeSlower) {
  absl::Duration now;
  DialRate rate;
  LimitAfter(rate, 500, 8, now);
  for (int i = 0; i < 500; ++i)
    rate.Took(absl::Milliseconds(100), now += absl::Milliseconds(50));  // five times 4 cores
  EXPECT_EQ(rate.limit(), DialRate::kLeast) << "as if it were the dials that took so long";
  for (int i = 0; i < 500; ++i) rate.Took(absl::Milliseconds(100), now += absl::Milliseconds(100));
  EXPECT_GT(rate.limit(), DialRate::kLeast) << "found out again: they just do";
}

TEST(DialRateTest, AFailureStartsOver) {
  absl::Duration now;
  DialRate rate;
  LimitAfter(rate, 500, 8, now);
  EXPECT_GT(rate.limit(), DialRate::kLeast);
  rate.Failed();
  EXPECT_EQ(rate.limit(), DialRate::kLeast);
}

}  // namespace
}  // namespace leasehold::gateway
