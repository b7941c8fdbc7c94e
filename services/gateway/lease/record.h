// LeaseRecord as a value that several gateways change at once: merging is commutative, associative and idempotent, so
// that they agree whatever the order in which they hear of each other.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "leasehold/v1/lease.pb.h"

namespace leasehold::gateway {

struct Merged {
  bool mine_changed = false;
  bool other_behind = false;  // `mine` knows more: the other side must hear of it
};

// Folds `other` into `mine`; both are of the same lease. An ended state wins over ACTIVE (and REVOKED over RELEASED),
// the later expiry wins, the later switch wins, what one side does not know is taken from the other.
Merged MergeRecord(v1::LeaseRecord& mine, const v1::LeaseRecord& other);

// The state at `now_ms`: EXPIRED is never stored, it follows from the time.
v1::LeaseState StateAt(const v1::LeaseRecord& record, int64_t now_ms);

// LEASE_EXPIRED, LEASE_RELEASED or LEASE_REVOKED; OK for ACTIVE.
absl::Status StatusOfState(v1::LeaseState state);

// As callers see it; `sessions`: of this gateway.
v1::Lease LeaseOf(const v1::LeaseRecord& record, int sessions);

// A first record of what `claims` say.
v1::LeaseRecord RecordOf(v1::LeaseClaims claims);

}  // namespace leasehold::gateway
