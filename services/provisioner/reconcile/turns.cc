#include "services/provisioner/reconcile/turns.h"

#include <optional>
#include <utility>

namespace leasehold::provisioner {

bool Turns::Begin(const TenantId& id) {
  const absl::MutexLock lock(&mu_);
  if (taken_ < most_) {
    ++taken_;
    return true;
  }
  if (known_.insert(id).second) waiting_.push_back(id);
  return false;
}

void Turns::End() {
  std::optional<TenantId> next;
  {
    const absl::MutexLock lock(&mu_);
    --taken_;
    if (!waiting_.empty()) {
      next = std::move(waiting_.front());
      waiting_.pop_front();
      known_.erase(*next);
    }
  }
  if (next.has_value()) again_(*next);
}

}  // namespace leasehold::provisioner
