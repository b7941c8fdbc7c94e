#include "common/clock/clock.h"

#include <algorithm>

#include "absl/random/uniform_real_distribution.h"

namespace leasehold {

absl::Time FakeClock::Now() const {
  absl::MutexLock lock(&mu_);
  return now_;
}

void FakeClock::Advance(absl::Duration by) {
  absl::MutexLock lock(&mu_);
  now_ += by;
}

absl::Duration Backoff::Wait(int attempt) {
  absl::Duration cap = min_;
  // Stops as soon as doubling changes nothing, so that a tenant that fails for months costs nothing here.
  for (int n = 1; n < attempt && cap > absl::ZeroDuration() && cap < max_; ++n) cap *= 2;
  cap = std::min(cap, max_);
  return cap * absl::Uniform(absl::IntervalClosedClosed, random_, 0.5, 1.0);
}

}  // namespace leasehold
