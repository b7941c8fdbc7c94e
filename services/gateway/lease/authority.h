// What the SQL endpoint asks of leases. Nothing here blocks; any thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/identity/identity.h"
#include "common/secret/secret.h"
#include "leasehold/v1/lease.pb.h"

namespace leasehold::gateway {

// A lease whose user name was understood. Immutable, shared by its sessions. Holding one proves nothing: the client
// must still prove that it knows `password`.
struct Grant {
  LeaseId id;
  ServiceName service;
  std::optional<TenantId> home_tenant;   // nullopt: the named connection `connection`
  std::string connection;                // "central" or empty
  std::optional<TenantId> start_tenant;  // where new sessions start (SwitchLease moves it)
  bool read_only = false;
  bool session = false;
  std::vector<std::string> switch_to;  // globs
  std::string home_database_id;
  std::string holder;
  std::string principal;  // who acquired it; empty while this gateway has not been told
  Secret password;
  // Why nobody may use it any more: its time has run out, or somebody has ended it. That is for who has proven to know
  // the password; claims can be made up.
  absl::Status ended = absl::OkStatus();
  v1::LeaseClaims claims;  // as the user name carries them

  // True if sessions of this lease may be at `tenant`: its home, or matched by switch_to.
  bool MayUse(const TenantId& tenant) const;
};
using GrantPtr = std::shared_ptr<const Grant>;

// Where a session's statements go.
struct Route {
  ServiceName service;
  std::optional<TenantId> tenant;  // nullopt: the central database
  std::string database;
  std::string role;
  std::string database_id;  // RoleKey::PasswordOf(database_id, read_only) is the role's password
  bool read_only = false;
};

class LeaseAuthority {
 public:
  virtual ~LeaseAuthority() = default;

  // Of a SQL user name, also of a lease that has ended. BAD_CREDENTIALS if it is not a lease's, with the same text
  // whatever was wrong. The tenant's state is Resolve's to tell, to a client that has proven itself: a stranger learns
  // nothing of tenants and causes no look-up.
  virtual absl::StatusOr<GrantPtr> Authenticate(std::string_view user_name) = 0;

  // Where `grant` leads for `tenant` (nullopt: its named connection). SWITCH_NOT_ALLOWED, TENANT_NOT_FOUND,
  // TENANT_NOT_READY, TENANT_SUSPENDED, TENANT_DELETED, REGISTRY_UNAVAILABLE (only for a tenant that is neither its
  // home nor cached). Calls back before it returns if it can.
  using RouteCallback = std::move_only_function<void(absl::StatusOr<Route>)>;
  virtual void Resolve(const GrantPtr& grant, const std::optional<TenantId>& tenant, RouteCallback done) = 0;

  // A session of `grant` is open, at `tenant`. `on_end` runs once, on any thread, within a second of the lease's end or
  // of the tenant becoming unusable, with the reason (LEASE_EXPIRED, LEASE_REVOKED, LEASE_RELEASED, TENANT_SUSPENDED,
  // TENANT_DELETED, TENANT_NOT_FOUND, and QUOTA_EXCEEDED for a session that is one too many); perhaps before Attach
  // returns. It must not block, and must not drop the attachment: post that to where the session lives. Dropping the
  // attachment ends the watch; `on_end` is not running and will not run once the destructor has returned. Only after
  // the client has proven that it knows the password.
  class Attachment {
   public:
    virtual ~Attachment() = default;
    // The session has moved; from now on the new tenant's state counts.
    virtual void MovedTo(const std::optional<TenantId>& tenant) = 0;
  };
  virtual std::unique_ptr<Attachment> Attach(const GrantPtr& grant, const std::optional<TenantId>& tenant,
                                             std::function<void(absl::Status)> on_end) = 0;

  // After renewals; absl::InfinitePast() for an ended lease.
  virtual absl::Time ExpiryOf(const GrantPtr& grant) = 0;
};

}  // namespace leasehold::gateway
