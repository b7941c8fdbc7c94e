// Every latency of a run, kept one by one, so that quantiles are exact.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace leasehold::bench {

// One thread. Four bytes a request; times above 71 minutes count as that.
class Latencies {
 public:
  void Add(absl::Duration latency);
  void Merge(const Latencies& others);
  size_t count() const { return microseconds_.size(); }

  // Nearest rank: the smallest latency that at least `share` (0 < share <= 1) of all do not exceed. Zero if there are
  // none. Reorders what is kept.
  absl::Duration Quantile(double share);

 private:
  std::vector<uint32_t> microseconds_;
};

}  // namespace leasehold::bench
