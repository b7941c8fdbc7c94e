#include "services/gateway/pool/giving_way.h"

#include <gtest/gtest.h>

namespace leasehold::gateway {
namespace {

constexpr int64_t kMicrosecond = 1'000, kMillisecond = 1'000'000;

TEST(GivingWay, GoesOnWhileTheOthersAreBrief) {
  GivingWay giving;
  for (int64_t now = 0; now < 100 * kMillisecond; now += kMillisecond) {
    ASSERT_TRUE(giving.IsWorthIt(now));
    giving.Took(now, now + 50 * kMicrosecond);
  }
}

TEST(GivingWay, PausesAfterOneThatKeptTheCoreAndLongerEachTime) {
  GivingWay giving;
  int64_t now = 0;
  int64_t last_pause = 0;
  for (int i = 0; i < 4; ++i) {
    giving.Took(now, now + 3 * kMillisecond);
    const int64_t begin = now += 3 * kMillisecond;
    while (!giving.IsWorthIt(now)) now += kMillisecond;
    EXPECT_GT(now - begin, last_pause);
    last_pause = now - begin;
  }
  EXPECT_LT(last_pause, 1000 * kMillisecond);
}

TEST(GivingWay, BriefOthersMakeTheNextPauseShortAgain) {
  GivingWay giving;
  giving.Took(0, 3 * kMillisecond);
  giving.Took(500 * kMillisecond, 503 * kMillisecond);
  giving.Took(1000 * kMillisecond, 1000 * kMillisecond + 20 * kMicrosecond);
  giving.Took(1001 * kMillisecond, 1004 * kMillisecond);
  EXPECT_FALSE(giving.IsWorthIt(1005 * kMillisecond));
  EXPECT_TRUE(giving.IsWorthIt(1105 * kMillisecond));
}

}  // namespace
}  // namespace leasehold::gateway
