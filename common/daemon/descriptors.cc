#include "common/daemon/descriptors.h"

#include <sys/resource.h>

#include <algorithm>
#include <limits>

namespace leasehold {
namespace {

int Bounded(rlim_t limit) {
  return static_cast<int>(std::min<rlim_t>(limit, std::numeric_limits<int>::max() / 4));  // RLIM_INFINITY too
}

}  // namespace

int RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  return DescriptorLimit();
}

int DescriptorLimit() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? Bounded(limit.rlim_cur) : Bounded(RLIM_INFINITY);
}

int DescriptorBudget::Kept() const { return std::min(2 * own_, DescriptorLimit() / 4); }

}  // namespace leasehold
