// How long things took, by buckets: for one thread, a few nanoseconds a time, without locks or allocations.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>

#include "absl/time/time.h"

namespace leasehold::gateway {

class DurationHistogram {
 public:
  // Where buckets end, in nanoseconds; what took longer than the last of them is in one more. As Metrics::Seconds().
  static constexpr std::array<int64_t, 18> kEnds = {
      100'000,       250'000,       500'000,       1'000'000,      2'500'000,      5'000'000,
      10'000'000,    25'000'000,    50'000'000,    100'000'000,    250'000'000,    500'000'000,
      1'000'000'000, 2'500'000'000, 5'000'000'000, 10'000'000'000, 30'000'000'000, 60'000'000'000};

  void Observe(absl::Duration took) {
    const int64_t ns = absl::ToInt64Nanoseconds(took);
    size_t bucket = 0;
    while (bucket < kEnds.size() && ns > kEnds[bucket]) ++bucket;
    ++counts_[bucket];
    total_ns_ += ns;
  }

  void Add(const DurationHistogram& other) {
    for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    total_ns_ += other.total_ns_;
  }

  uint64_t count() const { return std::accumulate(counts_.begin(), counts_.end(), uint64_t{0}); }
  absl::Duration total() const { return absl::Nanoseconds(total_ns_); }
  // One more than there are kEnds.
  std::span<const uint64_t> counts() const { return counts_; }

 private:
  std::array<uint64_t, kEnds.size() + 1> counts_{};
  int64_t total_ns_ = 0;
};

}  // namespace leasehold::gateway
