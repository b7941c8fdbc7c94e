#include "bench/load/zipf.h"

#include <algorithm>
#include <cmath>

#include "absl/log/absl_check.h"

namespace leasehold::bench {

Zipf::Zipf(size_t count, double exponent, uint64_t seed) : random_(seed) {
  ABSL_CHECK(count > 0 && exponent >= 0);
  cumulative_.reserve(count);
  double sum = 0;
  for (size_t rank = 0; rank < count; ++rank) {
    sum += std::pow(static_cast<double>(rank + 1), -exponent);
    cumulative_.push_back(sum);
  }
  for (double& value : cumulative_) value /= sum;
}

size_t Zipf::Next() {
  // std::uniform_real_distribution may differ between libraries; 53 bits of the generator do not.
  const double point = static_cast<double>(random_() >> 11) * 0x1p-53;
  const auto found = std::ranges::upper_bound(cumulative_, point);
  return std::min(static_cast<size_t>(found - cumulative_.begin()), cumulative_.size() - 1);
}

double Zipf::Probability(size_t rank) const { return cumulative_[rank] - (rank == 0 ? 0 : cumulative_[rank - 1]); }

}  // namespace leasehold::bench
