// Where a lease leads, asked on a loop.
#pragma once

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "common/identity/identity.h"
#include "services/gateway/lease/authority.h"
#include "services/gateway/pool/loop.h"

namespace leasehold::gateway {

// The answer if there is one at once, else nullopt, and `later` once, on `loop`, if `asker` has not gone by then: a
// loop goes after all who ask on it.
std::optional<absl::StatusOr<Route>> ResolveOn(Loop& loop, LeaseAuthority& authority, const GrantPtr& grant,
                                               const std::optional<TenantId>& tenant, std::weak_ptr<void> asker,
                                               LeaseAuthority::RouteCallback later);

}  // namespace leasehold::gateway
