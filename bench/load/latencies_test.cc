#include "bench/load/latencies.h"

#include <gtest/gtest.h>

namespace leasehold::bench {
namespace {

TEST(Latencies, QuantilesAreOfTheNearestRank) {
  Latencies latencies;
  for (int i = 1000; i >= 1; --i) latencies.Add(absl::Microseconds(i));
  EXPECT_EQ(latencies.Quantile(0.5), absl::Microseconds(500));
  EXPECT_EQ(latencies.Quantile(0.99), absl::Microseconds(990));
  EXPECT_EQ(latencies.Quantile(0.9901), absl::Microseconds(991));
  EXPECT_EQ(latencies.Quantile(1), absl::Microseconds(1000));
}

TEST(Latencies, OneIsEveryQuantileAndNoneIsZero) {
  Latencies latencies;
  EXPECT_EQ(latencies.Quantile(0.99), absl::ZeroDuration());
  latencies.Add(absl::Milliseconds(3));
  EXPECT_EQ(latencies.Quantile(0.01), absl::Milliseconds(3));
  EXPECT_EQ(latencies.Quantile(1), absl::Milliseconds(3));
}

TEST(Latencies, WhatDoesNotFitIsCutNotWrapped) {
  Latencies latencies;
  latencies.Add(absl::InfiniteDuration());
  EXPECT_GT(latencies.Quantile(1), absl::Minutes(71));
  latencies.Add(absl::Seconds(-1));
  EXPECT_EQ(latencies.Quantile(0.5), absl::ZeroDuration());
}

}  // namespace
}  // namespace leasehold::bench
