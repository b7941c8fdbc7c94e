// What the policy bounds leases by.
#pragma once

#include <cstdint>

namespace leasehold::gateway {

// Of the principal that acquires and the tenant that it acquires; 0 means no limit.
struct LeaseBounds {
  int64_t principal_leases = 0;
  int64_t tenant_leases = 0;
  uint32_t sessions_per_lease = 0;
};

}  // namespace leasehold::gateway
