#include "bench/load/latencies.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace leasehold::bench {

void Latencies::Add(absl::Duration latency) {
  constexpr int64_t kMost = std::numeric_limits<uint32_t>::max();
  microseconds_.push_back(static_cast<uint32_t>(std::clamp<int64_t>(absl::ToInt64Microseconds(latency), 0, kMost)));
}

void Latencies::Merge(const Latencies& others) {
  microseconds_.insert(microseconds_.end(), others.microseconds_.begin(), others.microseconds_.end());
}

absl::Duration Latencies::Quantile(double share) {
  if (microseconds_.empty()) return absl::ZeroDuration();
  const auto rank = static_cast<ptrdiff_t>(std::ceil(share * static_cast<double>(microseconds_.size())));
  const auto at = microseconds_.begin() + std::clamp<ptrdiff_t>(rank - 1, 0, std::ssize(microseconds_) - 1);
  std::nth_element(microseconds_.begin(), at, microseconds_.end());
  return absl::Microseconds(*at);
}

}  // namespace leasehold::bench
