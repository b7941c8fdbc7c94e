// How many connections an instance has room for: as many as the configuration says, or fewer while PostgreSQL has none
// left for more (53300), because others use them or its max_connections is too low. Then idle servers give way, as at
// the cap, instead of log-ins failing one after the other.
#pragma once

#include <algorithm>

#include "absl/time/time.h"

namespace leasehold::gateway {

// One loop.
class InstanceRoom {
 public:
  explicit InstanceRoom(int cap) : cap_(cap), room_(cap) {}

  int get() const { return room_; }
  bool all() const { return room_ == cap_; }

  // PostgreSQL refused one more beside `used`. `now`: of any clock that only goes forward.
  void Refused(int used, absl::Duration now) {
    room_ = std::min(room_, std::max(used, 1));
    step_ = 1;
    look_at_ = now + kPause;
  }

  // From time to time it tries for more, and for twice as many each time that nothing was refused since.
  void Look(absl::Duration now) {
    if (all() || now < look_at_) return;
    room_ = std::min(room_ + step_, cap_);
    step_ *= 2;
    look_at_ = now + kPause;
  }

 private:
  static constexpr absl::Duration kPause = absl::Seconds(1);

  const int cap_;
  int room_;
  int step_ = 1;
  absl::Duration look_at_ = absl::ZeroDuration();
};

}  // namespace leasehold::gateway
