// The registry's tables as operations on tenants. Every write is one transaction: the request's claim, the change, its
// operation, the event in the outbox, the notification of all gateways.
//
// Everything blocks: call it on the registry's executor or a thread of the registry's own. Any number of threads.
// Errors are safe to show, but for defects and foreseeable-by-nobody failures, which are logged here.
// REGISTRY_UNAVAILABLE when PostgreSQL does not answer or the schema is not there yet.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/identity/identity.h"
#include "common/postgres/postgres.h"
#include "leasehold/v1/operation.pb.h"
#include "leasehold/v1/provisioner.pb.h"
#include "leasehold/v1/tenant.pb.h"
#include "services/gateway/registry/requests.h"
#include "services/gateway/registry/rows.h"
#include "services/gateway/registry/settings.h"
#include "services/gateway/registry/tenant_state.h"

namespace leasehold::gateway {

// Notified with a tenant's id after each change and each report.
inline constexpr std::string_view kTenantsChannel = "leasehold_tenants";

// Fields are checked before they come here.
struct NewTenant {
  TenantId id;
  std::string name;    // empty: the id
  std::string domain;  // empty: none
  Settings settings;
  bool active = true;  // false: suspended from the start
};

struct TenantEdit {
  std::optional<std::string> name;
  std::optional<std::string> domain;  // empty: removes it
  Settings settings;                  // an empty value removes the entry
};

class Store {
 public:
  // `pool` and `clock` outlive it. `services`: configured, sorted. `retention` of deleted tenants where a call names
  // none.
  Store(postgres::ConnectionPool& pool, const Clock& clock, std::vector<std::string> services,
        absl::Duration retention);

  // Writes, as TenantService documents them. A change that changes nothing answers with the operation that last worked
  // on the instances.
  absl::StatusOr<v1::TenantChange> Create(const NewTenant& tenant, const RequestKey& key = {});
  absl::StatusOr<v1::TenantChange> Update(const TenantId& id, const TenantEdit& edit, const RequestKey& key = {});
  absl::StatusOr<v1::TenantChange> Suspend(const TenantId& id, const RequestKey& key = {});
  absl::StatusOr<v1::TenantChange> Resume(const TenantId& id, const RequestKey& key = {});
  absl::StatusOr<v1::TenantChange> Delete(const TenantId& id, std::optional<absl::Duration> retention,
                                          const RequestKey& key = {});

  // An announced tenant cannot be had. If the registry never had one of that id, it lists the id from now on as it
  // lists purged ones, so that the services remove what they made for the announcement (docs/adr/0006).
  absl::Status Refuse(const TenantId& id);

  // What a provisioner says of a tenant. False: it changes nothing (see ApplyReport). TENANT_NOT_FOUND if the registry
  // has never heard of the tenant.
  absl::StatusOr<bool> Report(const TenantId& id, const v1::ServiceStatus& report);

  // Deleted tenants whose purge_time has come begin to be dropped, at most `limit`. How many. Gateways share the work.
  absl::StatusOr<int> PurgeDue(int limit);

  // Brings the states of all tenants in line with the configured services. How many moved.
  absl::StatusOr<int> Reconsider();

  // Requests after 24 hours, operations 30 days after their end.
  absl::Status ForgetOld();

  // TENANT_NOT_FOUND, also for purged ones.
  absl::StatusOr<v1::Tenant> Get(const TenantId& id);
  absl::StatusOr<v1::Tenant> GetByDomain(const std::string& domain);
  // Those that exist, in no order.
  absl::StatusOr<std::vector<v1::Tenant>> Read(std::span<const TenantId> ids);
  // In the order of ids, behind `after`; `states` empty: all.
  absl::StatusOr<std::vector<v1::Tenant>> List(const std::string& after, int limit,
                                               std::span<const v1::TenantState> states);
  // Ids of all tenants that are or were, behind `after`.
  absl::StatusOr<std::vector<TenantId>> ListIds(const std::string& after, int limit);

  // OPERATION_NOT_FOUND.
  absl::StatusOr<v1::Operation> GetOperation(const TenantId& tenant, int64_t generation);
  // Newest first, behind `after` (its id and create_time count). `tenant` empty: all.
  absl::StatusOr<std::vector<v1::Operation>> ListOperations(const std::string& tenant, int limit,
                                                            const std::optional<v1::Operation>& after);

  // What is wanted of each tenant on one service, in the order of ids. A purged tenant is wanted ABSENT until the
  // service has reported it REMOVED: it may have been out of the configuration during the purge.
  absl::StatusOr<std::vector<v1::DesiredTenant>> ListDesired(const ServiceName& service, const std::string& after,
                                                             int limit);

  struct Counts {
    std::map<v1::TenantState, int64_t> tenants;
    int64_t outbox = 0;
  };
  absl::StatusOr<Counts> Count();

  const std::vector<std::string>& services() const { return services_; }

 private:
  using Work = std::function<absl::Status(postgres::Transaction&)>;
  using Edit = std::function<absl::Status(rows::TenantRow&)>;

  // One transaction; its errors as callers may see them.
  absl::Status Transact(const Work& work);
  absl::StatusOr<v1::TenantChange> Write(const RequestKey& key, const TenantId& id, Change change, const Edit& edit);
  absl::StatusOr<v1::TenantChange> Apply(postgres::Transaction& tx, const TenantId& id, Change change,
                                         const Edit& edit);
  absl::StatusOr<rows::TenantRow> Lock(postgres::Transaction& tx, const TenantId& id);
  absl::Status Save(postgres::Transaction& tx, const rows::TenantRow& tenant, int64_t previous_generation);
  absl::Status SaveReport(postgres::Transaction& tx, const rows::TenantRow& tenant, const v1::ServiceStatus& report);
  // After a report or a new configuration moved it.
  absl::Status SaveMoved(postgres::Transaction& tx, const TenantId& id, rows::TenantRow& tenant);
  absl::StatusOr<v1::Operation> StartOperation(postgres::Transaction& tx, const rows::TenantRow& tenant, Change change);
  absl::Status AdvanceOperation(postgres::Transaction& tx, const rows::TenantRow& tenant);
  absl::StatusOr<v1::Operation> OperationNow(postgres::Transaction& tx, const rows::TenantRow& tenant);
  absl::Status Notify(postgres::Transaction& tx, const TenantId& id);
  absl::StatusOr<std::vector<v1::Tenant>> ReadTenants(std::string_view which,
                                                      std::initializer_list<postgres::Param> params);

  postgres::ConnectionPool& pool_;
  const Clock& clock_;
  const std::vector<std::string> services_;
  const absl::Duration retention_;
};

}  // namespace leasehold::gateway
