// How many connections to dial at a time. PostgreSQL forks a process for each, and starting it takes some milliseconds
// of a core: beyond what it has cores for, more at a time only makes each slower, and takes places and cores from
// servers that could work. How many cores it has, we see from how long dialling takes.
#pragma once

#include <algorithm>

#include "absl/time/time.h"

namespace leasehold::gateway {

// One loop.
class DialRate {
 public:
  static constexpr int kLeast = 2;
  static constexpr int kMost = 64;

  int limit() const { return static_cast<int>(limit_); }

  // `now`: of any clock that only goes forward.
  void Took(absl::Duration took, absl::Duration now) {
    // What one takes with hardly any beside it changes with the machine and its load: so it is found out again.
    if (now >= find_out_at_) {
      find_out_at_ = now + kKnownFor;
      best_ = took;
      limit_ = kLeast;
    }
    best_ = std::min(best_, took);
    if (took <= kTolerable * best_) {
      limit_ = std::min<double>(limit_ + 1 / limit_, kMost);
    } else {
      limit_ = std::max<double>(limit_ * 0.9, kLeast);
    }
  }
  void Failed() { limit_ = kLeast; }

 private:
  static constexpr double kTolerable = 4;
  static constexpr absl::Duration kKnownFor = absl::Seconds(30);

  double limit_ = kLeast;
  absl::Duration best_;
  absl::Duration find_out_at_ = -absl::InfiniteDuration();
};

}  // namespace leasehold::gateway
