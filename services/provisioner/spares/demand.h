// How many spares there should be: as many as tenants have come lately in the time for which a stock must last, between
// a least and a most number. Pure; the caller's clock.
#pragma once

#include "absl/time/time.h"

namespace leasehold::provisioner {

// One thread.
class Demand {
 public:
  // Refilling gives way to tenants, so a stock has to last about this long without it.
  static constexpr absl::Duration kCover = absl::Seconds(30);
  // Over which arrivals are averaged.
  static constexpr absl::Duration kWindow = absl::Minutes(1);
  // What a burst has shown to be needed is halved each time this passes without another: a spare is cheap to keep, and
  // bursts come in rows.
  static constexpr absl::Duration kHalfLife = absl::Minutes(10);

  // `most` wins where it is less than `least`.
  Demand(int least, int most) : least_(least), most_(most) {}

  // So many tenants came, with or without finding a spare.
  void Came(int tenants, absl::Time now);
  // How long the last spare took to make.
  void Took(absl::Duration time) { making_ = time; }

  int Target(absl::Time now);

 private:
  void Decay(absl::Time now);

  const int least_;
  const int most_;
  absl::Duration making_ = absl::ZeroDuration();
  absl::Time last_ = absl::InfinitePast();
  double rate_ = 0;   // tenants a second
  double level_ = 0;  // spares
};

}  // namespace leasehold::provisioner
