// How many leases each principal and each tenant has, as far as this gateway knows.
#pragma once

#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "leasehold/v1/lease.pb.h"
#include "services/gateway/lease/lease_bounds.h"

namespace leasehold::gateway {

// Any thread; its lock is the last in every order.
class LeaseCounts {
 public:
  // Counts a lease; QUOTA_EXCEEDED, and counts nothing, if the bounds leave no room for it.
  absl::Status Take(const v1::LeaseRecord& record, const LeaseBounds& bounds);
  void Add(const v1::LeaseRecord& record);
  void Remove(const v1::LeaseRecord& record);

 private:
  using Counts = absl::flat_hash_map<std::string, int64_t>;
  void AddLocked(const v1::LeaseRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  absl::Mutex mu_;
  Counts principals_ ABSL_GUARDED_BY(mu_);
  Counts tenants_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leasehold::gateway
