#include "common/clock/clock.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>

namespace leasehold {
namespace {

TEST(FakeClock, StandsStillUntilToldOtherwise) {
  FakeClock clock(absl::FromUnixSeconds(100));
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(100));
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(100));
  clock.Advance(absl::Milliseconds(1500));
  EXPECT_EQ(clock.Now(), absl::FromUnixMillis(101'500));
}

TEST(SystemClock, IsTheSystems) {
  const absl::Time before = absl::Now();
  const absl::Time now = SystemClock().Now();
  EXPECT_LE(before, now);
  EXPECT_LE(now, absl::Now());
}

TEST(Backoff, DoublesUpToItsMaximum) {
  Backoff backoff(absl::Milliseconds(500), absl::Minutes(1));
  absl::Duration cap = absl::Milliseconds(500);
  for (int attempt = 1; attempt <= 20; ++attempt) {
    for (int i = 0; i < 100; ++i) {
      const absl::Duration wait = backoff.Wait(attempt);
      EXPECT_GE(wait, cap / 2) << attempt;
      EXPECT_LE(wait, cap) << attempt;
    }
    cap = std::min(cap * 2, absl::Minutes(1));
  }
}

TEST(Backoff, Jitters) {
  Backoff backoff(absl::Seconds(1), absl::Minutes(1));
  std::set<absl::Duration> waits;
  for (int i = 0; i < 100; ++i) waits.insert(backoff.Wait(3));
  EXPECT_GT(waits.size(), 90u);
}

TEST(Backoff, TakesAnyAttemptAndAnyLimits) {
  Backoff backoff(absl::Seconds(1), absl::Seconds(10));
  EXPECT_LE(backoff.Wait(std::numeric_limits<int>::max()), absl::Seconds(10));
  EXPECT_GE(backoff.Wait(std::numeric_limits<int>::max()), absl::Seconds(5));
  EXPECT_LE(backoff.Wait(0), absl::Seconds(1));
  EXPECT_EQ(Backoff(absl::ZeroDuration(), absl::Seconds(1)).Wait(std::numeric_limits<int>::max()),
            absl::ZeroDuration());
  EXPECT_LE(Backoff(absl::Seconds(5), absl::Seconds(1)).Wait(1), absl::Seconds(1));
}

}  // namespace
}  // namespace leasehold
