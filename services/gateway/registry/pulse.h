// What a background thread waits on: a time, a wake-up, or the end.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace leasehold::gateway {

// Any thread.
class Pulse {
 public:
  // Ends the present Wait(), or the next one.
  void Wake() {
    absl::MutexLock lock(&mu_);
    woken_ = true;
  }

  void Stop() {
    absl::MutexLock lock(&mu_);
    stopped_ = true;
  }

  bool stopped() const {
    absl::MutexLock lock(&mu_);
    return stopped_;
  }

  // Until Wake(), Stop() or `patience` has passed. False after Stop().
  bool Wait(absl::Duration patience) {
    absl::MutexLock lock(&mu_);
    mu_.AwaitWithTimeout(absl::Condition(this, &Pulse::Due), patience);
    woken_ = false;
    return !stopped_;
  }

 private:
  bool Due() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return woken_ || stopped_; }

  mutable absl::Mutex mu_;
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace leasehold::gateway
