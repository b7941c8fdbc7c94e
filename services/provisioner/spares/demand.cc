#include "services/provisioner/spares/demand.h"

#include <algorithm>
#include <cmath>

namespace leasehold::provisioner {

void Demand::Decay(absl::Time now) {
  const absl::Duration passed = now - last_;
  // A clock that was set back changes nothing.
  if (last_ != absl::InfinitePast() && passed > absl::ZeroDuration()) {
    rate_ *= std::exp(-absl::FDivDuration(passed, kWindow));
    level_ *= std::exp2(-absl::FDivDuration(passed, kHalfLife));
  }
  last_ = now;
}

void Demand::Came(int tenants, absl::Time now) {
  Decay(now);
  rate_ += tenants / absl::ToDoubleSeconds(kWindow);
  level_ = std::max(level_, std::min(rate_ * absl::ToDoubleSeconds(kCover + making_), static_cast<double>(most_)));
}

int Demand::Target(absl::Time now) {
  Decay(now);
  const int level = static_cast<int>(std::ceil(level_ - 1e-9));
  return std::min(std::max(level, least_), most_);
}

}  // namespace leasehold::provisioner
