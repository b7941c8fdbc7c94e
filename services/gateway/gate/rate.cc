#include "services/gateway/gate/rate.h"

#include <algorithm>

namespace leasehold::gateway {

std::optional<absl::Duration> RateLimiter::Take(std::string_view principal, const Rate& rate, absl::Time now) {
  const double per_second = rate.per_minute / 60;
  const double burst = std::max(rate.burst, 1.0);
  absl::MutexLock lock(&mu_);
  if (buckets_.size() >= sweep_at_) {
    absl::erase_if(buckets_, [now](const auto& entry) { return entry.second.full <= now; });
    sweep_at_ = std::max(kSweepFrom, 2 * buckets_.size());
  }
  const auto [entry, is_new] = buckets_.try_emplace(std::string(principal));
  Bucket& bucket = entry->second;
  if (is_new) bucket = {.tokens = burst, .filled = now, .full = now};
  // A clock that was set back fills nothing.
  const double seconds = std::max(0.0, absl::ToDoubleSeconds(now - bucket.filled));
  bucket.tokens = std::min(burst, bucket.tokens + seconds * per_second);
  bucket.filled = now;
  std::optional<absl::Duration> wait;
  if (bucket.tokens >= 1) {
    bucket.tokens -= 1;
  } else {
    wait = absl::Seconds((1 - bucket.tokens) / per_second);
  }
  bucket.full = now + absl::Seconds((burst - bucket.tokens) / per_second);
  return wait;
}

size_t RateLimiter::size() const {
  absl::MutexLock lock(&mu_);
  return buckets_.size();
}

}  // namespace leasehold::gateway
