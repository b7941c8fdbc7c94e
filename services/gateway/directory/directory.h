// What the data path needs to know of tenants and instances, without blocking: filled by the registry, read by leases
// and sessions. Entries are kept for `registry.cache_ttl` and dropped at once when the tenant changes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "common/identity/identity.h"
#include "leasehold/v1/tenant.pb.h"

namespace leasehold::gateway {

// One tenant as the registry knew it when it was looked up. Immutable, shared.
struct TenantView {
  TenantId id;
  v1::TenantState state = v1::TENANT_STATE_UNSPECIFIED;
  int64_t generation = 0;
  struct Service {
    v1::ServiceState state = v1::SERVICE_STATE_UNSPECIFIED;
    std::string database_id;
    int64_t generation = 0;
  };
  std::map<std::string, Service> services;  // by service name
  std::map<std::string, std::string> settings = {};

  // OK if `service` of this tenant can be used now, else TENANT_NOT_READY, TENANT_SUSPENDED, TENANT_DELETED or
  // SERVICE_NOT_FOUND.
  absl::Status Usable(const ServiceName& service) const;
};

using TenantViewPtr = std::shared_ptr<const TenantView>;

class TenantDirectory {
 public:
  virtual ~TenantDirectory() = default;
  using Callback = std::move_only_function<void(absl::StatusOr<TenantViewPtr>)>;

  // Any thread; never blocks. If the tenant is cached and `will_do` accepts it, calls back with that before it returns;
  // else later, on a registry thread, with what the registry says from now on: nobody need be refused for what the
  // cache says, for a change reaches the cache a moment after the registry. When the registry does not answer, what is
  // cached is given all the same. TENANT_NOT_FOUND, REGISTRY_UNAVAILABLE.
  //
  // `will_do` runs before this returns, perhaps never, and must not call the directory.
  using WillDo = absl::FunctionRef<bool(const TenantView&)>;
  virtual void Lookup(const TenantId& id, WillDo will_do, Callback done) = 0;

  // The same by domain; never from the cache.
  virtual void LookupDomain(const std::string& domain, Callback done) = 0;

  // Calls `on_change` (on a registry thread, or before it returns) with each new state of the tenant from now on,
  // starting with the present one, until the returned handle is dropped (after which it is not running and does not run
  // again). A state read later is never older than one read before. Removed tenants: TENANT_NOT_FOUND.
  using Handle = std::shared_ptr<void>;
  virtual Handle Follow(const TenantId& id, std::function<void(absl::StatusOr<TenantViewPtr>)> on_change) = 0;

  // Calls `on_change` with every changed tenant, of any id, until the handle is dropped; nothing at the start.
  virtual Handle FollowAll(std::function<void(const TenantId& id, absl::StatusOr<TenantViewPtr>)> on_change) = 0;
};

}  // namespace leasehold::gateway
