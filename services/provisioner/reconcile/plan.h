// Desired against observed, for one tenant: what there is to do. Pure.
#pragma once

#include "services/provisioner/state/records.h"
#include "services/provisioner/state/standard.h"
#include "services/provisioner/steps/observe.h"

namespace leasehold::provisioner {

enum class Work {
  kNone,
  kSettle,   // PRESENT and all in place: only the generation is new
  kPresent,  // TenantDatabase::Present()
  kClosed,   // TenantDatabase::Closed()
  kShut,     // TenantDatabase::Shut(): a removal that the registry has not confirmed yet
  kAbsent,   // TenantDatabase::Absent()
  kReplace,  // the same, and then there is work anew: the database is that of a purged tenant
  kFill,     // Refill::Run(), and then there is work anew
  kDiscard,  // Refill::Discard(), and then there is work anew: what was being filled is not wanted any more
};

Work WorkFor(const TenantRecord& record, const ObservedTenant& observed, const Standard& standard);

// A finished database that is not there any more though it should be: it will be made again, but empty.
bool IsLost(const TenantRecord& record, const ObservedTenant& observed);

}  // namespace leasehold::provisioner
