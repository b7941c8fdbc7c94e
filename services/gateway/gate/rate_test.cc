#include "services/gateway/gate/rate.h"

#include <gtest/gtest.h>

namespace leasehold::gateway {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

TEST(RateLimiter, ABurstThenTheRate) {
  RateLimiter limiter;
  const Rate rate{.per_minute = 60, .burst = 3};
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limiter.Take("a", rate, kNow), std::nullopt) << i;
  EXPECT_EQ(limiter.Take("a", rate, kNow), absl::Seconds(1));
  EXPECT_EQ(limiter.Take("b", rate, kNow), std::nullopt) << "each has its own";
  EXPECT_EQ(limiter.Take("a", rate, kNow + absl::Milliseconds(500)), absl::Milliseconds(500));
  EXPECT_EQ(limiter.Take("a", rate, kNow + absl::Seconds(1)), std::nullopt);
  EXPECT_EQ(limiter.Take("a", rate, kNow + absl::Seconds(1)), absl::Seconds(1));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limiter.Take("a", rate, kNow + absl::Hours(1)), std::nullopt) << i;
  EXPECT_NE(limiter.Take("a", rate, kNow + absl::Hours(1)), std::nullopt) << "it holds no more than the burst";
}

TEST(RateLimiter, WaitingAsToldIsEnough) {
  RateLimiter limiter;
  const Rate rate{.per_minute = 7, .burst = 1};
  absl::Time now = kNow;
  ASSERT_EQ(limiter.Take("a", rate, now), std::nullopt);
  for (int i = 0; i < 100; ++i) {
    const auto wait = limiter.Take("a", rate, now);
    ASSERT_TRUE(wait.has_value());
    now += *wait + absl::Nanoseconds(1);
    ASSERT_EQ(limiter.Take("a", rate, now), std::nullopt) << i;
  }
}

TEST(RateLimiter, AClockThatIsSetBackFillsNothing) {
  RateLimiter limiter;
  const Rate rate{.per_minute = 60, .burst = 1};
  ASSERT_EQ(limiter.Take("a", rate, kNow), std::nullopt);
  EXPECT_NE(limiter.Take("a", rate, kNow - absl::Hours(1)), std::nullopt);
  EXPECT_EQ(limiter.Take("a", rate, kNow - absl::Hours(1) + absl::Seconds(1)), std::nullopt);
}

TEST(RateLimiter, ForgetsThoseThatAreFullAgain) {
  RateLimiter limiter;
  const Rate rate{.per_minute = 60, .burst = 1};
  for (int i = 0; i < 10'000; ++i) ASSERT_EQ(limiter.Take(std::to_string(i), rate, kNow), std::nullopt);
  EXPECT_EQ(limiter.size(), 10'000u);
  EXPECT_EQ(limiter.Take("late", rate, kNow + absl::Minutes(1)), std::nullopt);
  EXPECT_EQ(limiter.size(), 1u);
}

}  // namespace
}  // namespace leasehold::gateway
