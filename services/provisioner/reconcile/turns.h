// Turns at work that may hold a worker up for long: a few tenants have it in hand at once, and the others wait without
// a worker.
#pragma once

#include <deque>
#include <functional>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/identity/identity.h"

namespace leasehold::provisioner {

// Any thread.
class Turns {
 public:
  // `again` is called with each tenant that waited, when a turn has become free. It must not block.
  Turns(int most, std::function<void(const TenantId&)> again) : most_(most), again_(std::move(again)) {}

  // True: `id` has a turn until End(). False: it waits, those that began to wait before it first.
  bool Begin(const TenantId& id) ABSL_LOCKS_EXCLUDED(mu_);
  void End() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const int most_;
  const std::function<void(const TenantId&)> again_;
  absl::Mutex mu_;
  int taken_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<TenantId> waiting_ ABSL_GUARDED_BY(mu_);
  std::set<TenantId> known_ ABSL_GUARDED_BY(mu_);  // those of waiting_
};

}  // namespace leasehold::provisioner
