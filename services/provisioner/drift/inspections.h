// What was found inside tenants' databases, and when each was last looked into: `leasehold.inspections` of the central
// database, so that a service's provisioners take turns instead of each looking into all.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/identity/identity.h"
#include "common/postgres/postgres.h"
#include "leasehold/v1/doctor.pb.h"

namespace leasehold::provisioner {

// Blocks on one short transaction a call. One thread.
class Inspections {
 public:
  explicit Inspections(const Clock& clock) : clock_(clock) {}

  // At most `limit` tenants that are READY, those that have waited the longest first, and not seen for `at_least`. They
  // count as seen from now on: no other provisioner takes them too.
  absl::StatusOr<std::vector<TenantId>> Take(postgres::Connection& central, int limit, absl::Duration at_least);

  // What somebody has to see to; an empty list forgets what was there.
  absl::Status Keep(postgres::Connection& central, const TenantId& tenant, const std::vector<v1::Finding>& findings);

  // What is kept of all tenants that are still READY.
  absl::StatusOr<std::vector<v1::Finding>> Kept(postgres::Connection& central);

 private:
  const Clock& clock_;
};

}  // namespace leasehold::provisioner
