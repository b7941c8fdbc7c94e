// Which tenant the next request is for: few hot, many cold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace leasehold::bench {

// Ranks 0 … count-1, rank r with a probability proportional to 1 / (r + 1)^exponent; exponent 0 is uniform. Two with
// the same arguments give the same sequence, with any standard library: both sides of a comparison see the same tenants
// in the same order. One thread.
class Zipf {
 public:
  // `count` at least 1, `exponent` at least 0.
  Zipf(size_t count, double exponent, uint64_t seed);

  size_t Next();
  double Probability(size_t rank) const;

 private:
  std::vector<double> cumulative_;  // rising to 1
  std::mt19937_64 random_;
};

}  // namespace leasehold::bench
