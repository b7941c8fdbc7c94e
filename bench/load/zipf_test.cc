#include "bench/load/zipf.h"

#include <gmock/gmock.h>

#include <cmath>
#include <vector>

namespace leasehold::bench {
namespace {

std::vector<size_t> Draw(Zipf zipf, int count) {
  std::vector<size_t> drawn;
  for (int i = 0; i < count; ++i) drawn.push_back(zipf.Next());
  return drawn;
}

TEST(Zipf, TheSameSeedGivesTheSameSequence) {
  EXPECT_EQ(Draw(Zipf(300, 1.0, 7), 1000), Draw(Zipf(300, 1.0, 7), 1000));
  EXPECT_NE(Draw(Zipf(300, 1.0, 7), 1000), Draw(Zipf(300, 1.0, 8), 1000));
}

// Written down once: a change of the sequence makes results of different days incomparable.
TEST(Zipf, TheSequenceIsFixed) {
  EXPECT_THAT(Draw(Zipf(300, 1.0, 1), 8), ::testing::ElementsAre(0, 0, 9, 0, 4, 171, 10, 0));
}

TEST(Zipf, ProbabilitiesFollowTheLaw) {
  const Zipf zipf(300, 1.0, 1);
  double sum = 0;
  for (size_t rank = 0; rank < 300; ++rank) sum += zipf.Probability(rank);
  EXPECT_NEAR(sum, 1.0, 1e-12);
  EXPECT_NEAR(zipf.Probability(0) / zipf.Probability(1), 2.0, 1e-9);
  EXPECT_NEAR(zipf.Probability(0) / zipf.Probability(299), 300.0, 1e-6);
}

TEST(Zipf, DrawsFollowTheProbabilities) {
  constexpr int kDraws = 200'000;
  Zipf zipf(50, 1.2, 3);
  std::vector<int> counts(50);
  for (int i = 0; i < kDraws; ++i) ++counts.at(zipf.Next());
  for (size_t rank = 0; rank < counts.size(); ++rank) {
    const double expected = zipf.Probability(rank) * kDraws;
    EXPECT_NEAR(counts[rank], expected, 6 * std::sqrt(expected)) << "rank " << rank;
  }
}

TEST(Zipf, ExponentZeroIsUniformAndOneRankIsAlwaysDrawn) {
  EXPECT_NEAR(Zipf(4, 0, 1).Probability(3), 0.25, 1e-12);
  EXPECT_THAT(Draw(Zipf(1, 1.0, 1), 5), ::testing::Each(0));
}

}  // namespace
}  // namespace leasehold::bench
