// How often a principal may acquire: a bucket of tokens for each, filled steadily.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace leasehold::gateway {

struct Rate {
  double per_minute = 0;
  double burst = 0;  // at least 1
};

// Any thread.
class RateLimiter {
 public:
  // Takes one token at `now`; nullopt if there was one, else how long until there is.
  std::optional<absl::Duration> Take(std::string_view principal, const Rate& rate, absl::Time now);

  size_t size() const;

 private:
  struct Bucket {
    double tokens = 0;
    absl::Time filled;
    absl::Time full;  // when nothing is left to remember
  };
  static constexpr size_t kSweepFrom = 10'000;

  mutable absl::Mutex mu_;
  absl::flat_hash_map<std::string, Bucket> buckets_ ABSL_GUARDED_BY(mu_);
  size_t sweep_at_ ABSL_GUARDED_BY(mu_) = kSweepFrom;
};

}  // namespace leasehold::gateway
