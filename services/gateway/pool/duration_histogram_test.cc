#include "services/gateway/pool/duration_histogram.h"

#include <gtest/gtest.h>

namespace leasehold::gateway {
namespace {

TEST(DurationHistogramTest, ABucketReachesUpToItsEnd) {
  DurationHistogram histogram;
  for (const absl::Duration took :
       {absl::ZeroDuration(), absl::Microseconds(100), absl::Nanoseconds(100'001), absl::Microseconds(250),
        absl::Minutes(1), absl::Minutes(1) + absl::Nanoseconds(1)}) {
    histogram.Observe(took);
  }
  EXPECT_EQ(histogram.counts()[0], 2u);
  EXPECT_EQ(histogram.counts()[1], 2u);
  EXPECT_EQ(histogram.counts()[17], 1u);
  EXPECT_EQ(histogram.counts()[18], 1u);
  EXPECT_EQ(histogram.count(), 6u);
  EXPECT_EQ(histogram.total(), absl::Minutes(2) + absl::Nanoseconds(450'002));
}

TEST(DurationHistogramTest, TwoAddUp) {
  DurationHistogram one;
  one.Observe(absl::Milliseconds(3));
  DurationHistogram two;
  two.Observe(absl::Milliseconds(4));
  two.Observe(absl::Hours(1));
  one.Add(two);
  EXPECT_EQ(one.counts()[5], 2u);
  EXPECT_EQ(one.counts().back(), 1u);
  EXPECT_EQ(one.total(), absl::Hours(1) + absl::Milliseconds(7));
  EXPECT_EQ(two.count(), 2u);
}

}  // namespace
}  // namespace leasehold::gateway
