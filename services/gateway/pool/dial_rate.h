// How many connections to dial at a time. PostgreSQL forks a process for each, and starting it takes some milliseconds of
// a core: beyond what it has cores for, more at a time only makes each slower, and takes places and cores from servers
// that could work. How many cores it has, we see from how long dialling takes.
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

  void Took(absl::Duration took) {
    // The best is what one takes on its own. It is let to rise slowly, lest one lucky dial slow down all later ones.
    best_ = std::min(best_ * 1.01, took);
    if (took <= kTolerable * best_) {
      limit_ = std::min<double>(limit_ + 1 / limit_, kMost);
    } else {
      limit_ = std::max<double>(limit_ * 0.9, kLeast);
    }
  }
  void Failed() { limit_ = kLeast; }

 private:
  static constexpr double kTolerable = 2.5;

  double limit_ = 4;
  absl::Duration best_ = absl::Seconds(1);
};

}  // namespace leasehold::gateway
