// Whether it is worth giving way (sched_yield) before sleeping. It is while the others on the core run briefly, as
// servers and clients do that answer at once. One that computes for milliseconds, such as a client that stretches a
// password, keeps the core for its whole slice, and who gave way is not woken out of turn like a sleeper is.
#pragma once

#include <algorithm>
#include <cstdint>

namespace leasehold::gateway {

// Nanoseconds of one monotonic clock throughout. One thread.
class GivingWay {
 public:
  bool IsWorthIt(int64_t now) const { return now >= not_before_; }

  void Took(int64_t begin, int64_t end) {
    if (end - begin < kLong) {
      pause_ = kShortestPause;
      return;
    }
    not_before_ = end + pause_;
    pause_ = std::min(2 * pause_, kLongestPause);
  }

 private:
  // A tenth of the scheduler's slice, and several times what a query's part on a core takes.
  static constexpr int64_t kLong = 300'000;
  // Trying again costs about a slice: at first 3 % of the time, at last one in a thousand.
  static constexpr int64_t kShortestPause = 100'000'000;
  static constexpr int64_t kLongestPause = 3'200'000'000;

  int64_t not_before_ = 0;
  int64_t pause_ = kShortestPause;
};

}  // namespace leasehold::gateway
