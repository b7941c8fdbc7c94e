// For what may happen many times a second as long as its cause lasts, and is to be in the log all the same.
#pragma once

#include <optional>
#include <utility>

#include "absl/time/time.h"

namespace leasehold {

// One thread.
class Seldom {
 public:
  // It has happened. nullopt: it was said less than a minute ago. Else it is to be said now, and that it has happened
  // so many times since it was said last, this one among them.
  std::optional<int> Note(absl::Time now) {
    ++times_;
    if (now >= said_ && now < said_ + absl::Minutes(1)) return std::nullopt;
    said_ = now;
    return std::exchange(times_, 0);
  }

 private:
  absl::Time said_ = absl::InfinitePast();
  int times_ = 0;
};

}  // namespace leasehold
