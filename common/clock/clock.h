// Time, injected, so that tests of expiry need no sleep.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace leasehold {

// Any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

class SystemClock : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
};

// Stands still until told otherwise.
class FakeClock : public Clock {
 public:
  explicit FakeClock(absl::Time now = absl::FromUnixSeconds(1'800'000'000)) : now_(now) {}
  absl::Time Now() const override;
  void Advance(absl::Duration by);

 private:
  mutable absl::Mutex mu_;
  absl::Time now_ ABSL_GUARDED_BY(mu_);
};

// Exponential backoff with jitter: the n-th wait (from 1) is uniform in [cap/2, cap], cap = min * 2^(n-1), at most max.
class Backoff {
 public:
  Backoff(absl::Duration min, absl::Duration max) : min_(min), max_(max) {}
  absl::Duration Wait(int attempt);  // attempt counts from 1; not thread-safe

 private:
  absl::Duration min_;
  absl::Duration max_;
  absl::BitGen random_;
};

}  // namespace leasehold
