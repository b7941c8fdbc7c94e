// The registry's tables as operations on tenants. Every write is one transaction: the request's claim, the change, its
// operation, the event in the outbox, the notification of all gateways.
//
// Everything blocks: call it on the registry's executor or a thread of the registry's own. Any number of threads.
// Errors are safe to show, but for defects and foreseeable-by-nobody failures, which are logged here.
// REGISTRY_UNAVAILABLE when PostgreSQL does not answer or the schema is not there yet.
#pragma once

#include <atomic>
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
#include "common/status/error.h"
#include "leasehold/v1/backup.pb.h"
#include "leasehold/v1/doctor.pb.h"
#include "leasehold/v1/operation.pb.h"
#include "leasehold/v1/provisioner.pb.h"
#include "leasehold/v1/status.pb.h"
#include "leasehold/v1/tenant.pb.h"
#include "services/gateway/registry/operation_id.h"
#include "services/gateway/registry/requests.h"
#include "services/gateway/registry/rows.h"
#include "services/gateway/registry/settings.h"
#include "services/gateway/registry/tenant_state.h"

namespace leasehold::gateway {

// Notified with a tenant's id after each change and each report.
inline constexpr std::string_view kTenantsChannel = "leasehold_tenants";

// What the registry's sessions call themselves (application_name).
inline constexpr std::string_view kGatewaySessions = "leasehold-gateway";

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

  // Until Open(), everything answers REGISTRY_UNAVAILABLE and asks PostgreSQL nothing: the schema may be missing, or
  // half upgraded. Before other threads use it.
  void KeepClosed() { open_ = false; }
  void Open() { open_ = true; }

  // Asked before each write that somebody called for; what it does not let through is answered with that. At most once,
  // before the first write.
  void AdmitBy(std::function<absl::Status()> admits) { admits_ = std::move(admits); }

  // Writes, as TenantService documents them. A change that changes nothing answers with the operation that last worked
  // on the instances.
  absl::StatusOr<v1::TenantChange> Create(const NewTenant& tenant, const RequestKey& key = {});
  absl::StatusOr<v1::TenantChange> Update(const TenantId& id, const TenantEdit& edit, const RequestKey& key = {});
  absl::StatusOr<v1::TenantChange> Suspend(const TenantId& id, const RequestKey& key = {});
  absl::StatusOr<v1::TenantChange> Resume(const TenantId& id, const RequestKey& key = {});
  absl::StatusOr<v1::TenantChange> Delete(const TenantId& id, std::optional<absl::Duration> retention,
                                          const RequestKey& key = {});
  absl::StatusOr<v1::TenantChange> Undelete(const TenantId& id, const RequestKey& key = {});
  absl::StatusOr<v1::TenantChange> Retry(const TenantId& id, const RequestKey& key = {});
  // Without settings those of `source` are taken over.
  absl::StatusOr<v1::TenantChange> Clone(const TenantId& source, const NewTenant& tenant, const RequestKey& key = {});

  // Backups, as BackupService documents them.
  absl::StatusOr<v1::BackupChange> CreateBackup(const TenantId& id, const RequestKey& key = {});
  absl::StatusOr<v1::Backup> GetBackup(const OperationId& id);
  // Newest first, behind `after` (its id and create_time count). `tenant` empty: all.
  absl::StatusOr<std::vector<v1::Backup>> ListBackups(const std::string& tenant, int limit,
                                                      const std::optional<v1::Backup>& after);
  absl::StatusOr<v1::Backup> DeleteBackup(const OperationId& id, const RequestKey& key = {});
  // Of `tenant` only the id counts if `in_place`.
  absl::StatusOr<v1::TenantChange> Restore(const OperationId& backup, const NewTenant& tenant, bool in_place,
                                           const RequestKey& key = {});
  // What a service has still to take or to remove, oldest first.
  absl::StatusOr<std::vector<v1::BackupWork>> ListBackupWork(const ServiceName& service);
  // What a provisioner says of a backup. False: it changes nothing, for the service is done with it or never had a part
  // in it. BACKUP_NOT_FOUND.
  absl::StatusOr<bool> ReportBackup(const OperationId& id, const v1::BackupStatus& report);

  absl::StatusOr<v1::Operation> CancelOperation(const OperationId& id, const RequestKey& key = {});

  // An announced tenant cannot be had. If the registry never had one of that id, it lists the id from now on as it
  // lists purged ones, so that the services remove what they made for the announcement (docs/adr/0006).
  absl::Status Refuse(const TenantId& id);

  // What a provisioner says of a tenant. False: it changes nothing (see ApplyReport). TENANT_NOT_FOUND if the registry
  // has never heard of the tenant.
  absl::StatusOr<bool> Report(const TenantId& id, const v1::ServiceStatus& report);
  // How far a service is with a restore or clone, in its operation. False: that was cancelled or overtaken, or the
  // service has no part in it.
  absl::StatusOr<bool> ReportCopy(const TenantId& id, const v1::CopyStatus& report);

  // Deleted tenants whose purge_time has come begin to be dropped, at most `limit`. Which. Gateways share the work.
  absl::StatusOr<std::vector<TenantId>> PurgeDue(int limit);

  // Brings the states of all tenants in line with the configured services. How many moved.
  absl::StatusOr<int> Reconsider();

  // Requests after 24 hours, operations 30 days after their end, backups 30 days after they were removed.
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

  // What a pass of a service's provisioner found: it replaces what the one before had found. Findings keep the time at
  // which they were first seen. Of one that could make no pass, its trouble alone.
  absl::Status ReportFindings(const v1::ReportFindingsRequest& report);

  // Of one service and tenant, or all (empty): what is amiss by the last pass, and how each service's tenants are.
  // ServiceHealth.message names a failed tenant, if there is one. `patience`: how long a tenant may be pending.
  absl::StatusOr<v1::DiagnoseResponse> Diagnose(const std::string& service, const std::string& tenant,
                                                absl::Duration patience);

  // How many tenants there are in which state, of each service too, which of them the services are not done with, and
  // which operations run: GetStatusResponse without the rest.
  absl::StatusOr<v1::GetStatusResponse> Overview();

  struct Counts {
    std::map<v1::TenantState, int64_t> tenants;
    int64_t outbox = 0;
    absl::Duration outbox_age = absl::ZeroDuration();  // of the oldest event
  };
  absl::StatusOr<Counts> Count();

  struct ServiceCounts {
    // PENDING: what the service has reported is older than what is wanted.
    std::map<v1::ServiceState, int64_t> tenants;
    absl::Time last_pass = absl::InfinitePast();
  };
  absl::StatusOr<std::map<std::string, ServiceCounts>> CountByService();

  const std::vector<std::string>& services() const { return services_; }

 private:
  using Work = std::function<absl::Status(postgres::Transaction&)>;
  using Edit = std::function<absl::Status(rows::TenantRow&)>;

  // One transaction; its errors as callers may see them.
  absl::Status Transact(const Work& work);
  // Until its end the transaction's session is named after the thread's trace, too.
  static absl::Status ShowTrace(postgres::Transaction& tx);
  // The same, once for each `key`: a repetition answers what the first call answered.
  template <typename Answer>
  absl::StatusOr<Answer> Once(const RequestKey& key,
                              const std::function<absl::StatusOr<Answer>(postgres::Transaction&)>& work);
  struct Applied {
    v1::TenantChange answer{};
    bool changed = false;
  };
  // The same for `work` on a tenant. Logged if anything has changed: not what was so already, or was answered before.
  absl::StatusOr<v1::TenantChange> ChangeOnce(
      const RequestKey& key, const std::function<absl::StatusOr<Applied>(postgres::Transaction&)>& work);
  absl::StatusOr<v1::TenantChange> Write(const RequestKey& key, const TenantId& id, Change change, const Edit& edit);
  absl::StatusOr<Applied> Apply(postgres::Transaction& tx, const TenantId& id, Change change, const Edit& edit,
                                const Source& source = {});
  absl::StatusOr<rows::TenantRow> Lock(postgres::Transaction& tx, const TenantId& id);
  // A row without a state if there is none. `lock`: "FOR UPDATE", or empty.
  absl::StatusOr<rows::TenantRow> Find(postgres::Transaction& tx, const TenantId& id, std::string_view lock);
  absl::Status Save(postgres::Transaction& tx, const rows::TenantRow& tenant, int64_t previous_generation);
  absl::Status SaveReport(postgres::Transaction& tx, const rows::TenantRow& tenant, const v1::ServiceStatus& report);
  // After a report or a new configuration moved it.
  absl::Status SaveMoved(postgres::Transaction& tx, const TenantId& id, rows::TenantRow& tenant);
  absl::StatusOr<v1::Operation> StartOperation(postgres::Transaction& tx, const rows::TenantRow& tenant,
                                               v1::OperationKind kind);
  absl::Status AdvanceOperation(postgres::Transaction& tx, const rows::TenantRow& tenant);
  absl::Status AdvanceRetry(postgres::Transaction& tx, const OperationId& id, const rows::TenantRow& tenant);
  // What services say of a restore or clone becomes what `now` says, but for the bytes.
  absl::Status KeepBytes(postgres::Transaction& tx, const OperationId& id, v1::Operation now);
  absl::StatusOr<v1::Operation> OperationNow(postgres::Transaction& tx, const rows::TenantRow& tenant);
  absl::Status SaveOperation(postgres::Transaction& tx, const v1::Operation& operation);
  absl::StatusOr<v1::Operation> ReadOperation(postgres::Transaction& tx, const OperationId& id);
  absl::StatusOr<v1::Operation> CancelRunning(postgres::Transaction& tx, v1::Operation operation);

  absl::StatusOr<std::vector<v1::Backup>> ReadBackups(postgres::Transaction& tx, std::string_view which,
                                                      std::initializer_list<postgres::Param> params);
  absl::StatusOr<v1::Backup> FindBackup(postgres::Transaction& tx, const OperationId& id);
  // Locked until the transaction's end. Whoever locks its tenant too does that first.
  absl::StatusOr<v1::Backup> LockBackup(postgres::Transaction& tx, const OperationId& id);
  // TENANT_NOT_READY while a tenant is being restored from it.
  absl::Status CheckUnused(postgres::Transaction& tx, const OperationId& id);
  absl::Status BeginBackup(postgres::Transaction& tx, const OperationId& id);
  // The backup and, if it runs, its operation, which ends in `state`.
  absl::Status RemoveBackup(postgres::Transaction& tx, const OperationId& id, v1::OperationState state,
                            std::string_view why);
  // Nothing is left that could be copied.
  absl::Status RemoveRunningBackups(postgres::Transaction& tx, const TenantId& tenant);
  absl::Status AdvanceBackup(postgres::Transaction& tx, const OperationId& id);
  absl::Status Notify(postgres::Transaction& tx, const TenantId& id);
  absl::StatusOr<std::vector<v1::Tenant>> ReadTenants(std::string_view which,
                                                      std::initializer_list<postgres::Param> params);

  postgres::ConnectionPool& pool_;
  const Clock& clock_;
  const std::vector<std::string> services_;
  const absl::Duration retention_;
  std::function<absl::Status()> admits_ = [] { return absl::OkStatus(); };
  std::atomic<bool> open_ = true;
};

template <typename Answer>
absl::StatusOr<Answer> Store::Once(const RequestKey& key,
                                   const std::function<absl::StatusOr<Answer>(postgres::Transaction&)>& work) {
  LH_RETURN_IF_ERROR(admits_());
  Answer answer;
  const absl::Status done = Transact([&](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(ShowTrace(tx));
    LH_ASSIGN_OR_RETURN(const std::optional<std::string> before, ClaimRequest(tx, key, clock_.Now()));
    if (before) {
      return answer.ParseFromString(*before) ? absl::OkStatus() : absl::InternalError("a kept answer does not parse");
    }
    LH_ASSIGN_OR_RETURN(answer, work(tx));
    return RecordAnswer(tx, key, answer.SerializeAsString());
  });
  LH_RETURN_IF_ERROR(done);
  return answer;
}

}  // namespace leasehold::gateway
