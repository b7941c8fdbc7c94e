#include "services/gateway/audit/calls.h"

#include <type_traits>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/status/view.h"
#include "leasehold/v1/backup.pb.h"
#include "leasehold/v1/lease.pb.h"
#include "leasehold/v1/log.pb.h"
#include "leasehold/v1/migration.pb.h"
#include "leasehold/v1/operation.pb.h"
#include "leasehold/v1/tenant.pb.h"

namespace leasehold::gateway {
namespace {

// "acme" of "acme.17".
std::string_view TenantOf(std::string_view id) { return id.substr(0, id.rfind('.')); }
std::string_view ServiceOf(std::string_view run) { return run.substr(0, run.rfind('.')); }

// "dry-run" of "MIGRATION_KIND_DRY_RUN".
std::string WordOf(std::string_view name, std::string_view prefix) {
  return absl::StrReplaceAll(absl::AsciiStrToLower(AbslView(name.substr(prefix.size()))), {{"_", "-"}});
}

void Tell(const v1::Lease& lease, CallTold& told) {
  told.entry.lease = lease.id();
  told.entry.service = lease.service();
  told.entry.tenant = lease.tenant();
  told.entry.subject = lease.connection();
  told.entry.holder = lease.holder();
}

void TellTime(const v1::Lease& lease, CallTold& told) {
  absl::StrAppend(&told.detail, "ends ", lease.expire_time().seconds() - lease.issue_time().seconds(),
                  " s after its issue", lease.access() == v1::ACCESS_READ_ONLY ? ", read-only" : "");
  if (lease.switch_to().empty()) return;
  absl::StrAppend(&told.detail, ", may switch to");
  for (const std::string& glob : lease.switch_to()) absl::StrAppend(&told.detail, " ", glob);
}

void TellAcquire(const v1::AcquireLeaseRequest& request, const v1::AcquireLeaseResponse* response, CallTold& told) {
  if (response != nullptr) {
    Tell(response->lease(), told);
    TellTime(response->lease(), told);
    return;
  }
  told.entry.tenant = request.tenant();
  told.entry.subject = request.has_domain() ? request.domain() : request.connection();
  told.entry.service = request.service();
  told.entry.holder = request.holder();
}

// Of the calls that are about one lease and answer with it.
template <typename Request>
void TellLease(const Request& request, const v1::Lease* response, CallTold& told) {
  if (response != nullptr) Tell(*response, told);
  told.entry.lease = request.id();
}

void TellRenew(const v1::RenewLeaseRequest& request, const v1::Lease* response, CallTold& told) {
  TellLease(request, response, told);
  if (response != nullptr) TellTime(*response, told);
}

void TellSwitch(const v1::SwitchLeaseRequest& request, const v1::Lease* response, CallTold& told) {
  TellLease(request, response, told);
  told.entry.tenant = response == nullptr ? request.tenant() : response->current_tenant();
}

void TellRevoke(const v1::RevokeLeasesRequest& request, const v1::RevokeLeasesResponse* response, CallTold& told) {
  told.entry.lease = request.id();
  told.entry.tenant = request.tenant();
  told.entry.service = request.service();
  told.entry.holder = request.holder();
  if (response != nullptr) absl::StrAppend(&told.detail, response->revoked(), " known here");
}

template <typename Request>
void TellTenant(const Request& request, const v1::TenantChange* response, CallTold& told) {
  told.entry.tenant = request.id();
  if (response != nullptr) told.entry.subject = response->operation().id();
}

void TellCreate(const v1::CreateTenantRequest& request, const v1::TenantChange* response, CallTold& told) {
  told.entry.tenant = request.tenant().id();
  if (response != nullptr) told.entry.subject = response->operation().id();
}

void TellClone(const v1::CloneTenantRequest& request, const v1::TenantChange* response, CallTold& told) {
  told.entry.tenant = request.tenant().id();
  if (response == nullptr) return;
  told.entry.subject = response->operation().id();
  absl::StrAppend(&told.detail, "of ", request.source());
}

void TellBackup(const v1::CreateBackupRequest& request, const v1::BackupChange* response, CallTold& told) {
  told.entry.tenant = request.tenant();
  if (response != nullptr) told.entry.subject = response->backup().id();
}

// Of what is called by the tenant's id and a number.
template <typename Request, typename Response>
void TellNumbered(const Request& request, const Response* /*response*/, CallTold& told) {
  told.entry.tenant = TenantOf(request.id());
  told.entry.subject = request.id();
}

void TellRestore(const v1::RestoreBackupRequest& request, const v1::TenantChange* response, CallTold& told) {
  told.entry.tenant = request.tenant().id().empty() ? TenantOf(request.backup()) : request.tenant().id();
  told.entry.subject = request.backup();
  if (response != nullptr)
    absl::StrAppend(&told.detail, request.in_place() ? "in place: " : "", response->operation().id());
}

void TellRun(const v1::StartMigrationRunRequest& request, const v1::MigrationRun* response, CallTold& told) {
  told.entry.service = request.spec().service();
  if (response == nullptr) return;
  told.entry.subject = response->id();
  told.detail = WordOf(v1::MigrationKind_Name(response->spec().kind()), "MIGRATION_KIND_");
}

template <typename Request>
void TellRunControl(const Request& request, const v1::MigrationRun* /*response*/, CallTold& told) {
  told.entry.service = ServiceOf(request.id());
  told.entry.subject = request.id();
  told.entry.detail = std::is_same_v<Request, v1::ResumeMigrationRunRequest> ? "resume" : "cancel";
}

void TellLog(const v1::SetQueryLogRequest& request, const v1::SetQueryLogResponse* /*response*/, CallTold& told) {
  told.entry.service = request.service();
  told.entry.detail = request.enabled() ? "queries on" : "queries off";
}

void TellLogLevel(const v1::SetLogLevelRequest& request, const v1::SetLogLevelResponse* /*response*/, CallTold& told) {
  told.entry.service = request.service();
  absl::StrAppend(&told.detail, "level ", WordOf(v1::LogLevel_Name(request.level()), "LOG_LEVEL_"),
                  request.gateway_only() ? " of the gateway" : "");
}

template <auto kTell>
struct Telling;
template <typename Request, typename Response, void (*kTell)(const Request&, const Response*, CallTold&)>
struct Telling<kTell> {
  static void Tell(const void* request, const void* response, CallTold& told) {
    kTell(*static_cast<const Request*>(request), static_cast<const Response*>(response), told);
    if (!told.detail.empty()) told.entry.detail = told.detail;
  }
};

using Calls = absl::flat_hash_map<std::string, AuditedCall>;

template <auto kTell>
void Add(Calls& calls, std::string_view method, v1::AuditAction action, bool change) {
  calls.emplace(absl::StrCat("/leasehold.v1.", AbslView(method)), AuditedCall{action, change, &Telling<kTell>::Tell});
}

template <typename Request>
void AddTenant(Calls& calls, std::string_view method, v1::AuditAction action) {
  Add<&TellTenant<Request>>(calls, method, action, true);
}

Calls AllCalls() {
  Calls calls;
  Add<&TellAcquire>(calls, "LeaseService/AcquireLease", v1::AUDIT_ACTION_LEASE_ACQUIRE, false);
  Add<&TellAcquire>(calls, "LeaseService/HoldLease", v1::AUDIT_ACTION_LEASE_ACQUIRE, false);
  Add<&TellRenew>(calls, "LeaseService/RenewLease", v1::AUDIT_ACTION_LEASE_RENEW, false);
  Add<&TellSwitch>(calls, "LeaseService/SwitchLease", v1::AUDIT_ACTION_LEASE_SWITCH, false);
  Add<&TellLease<v1::ReleaseLeaseRequest>>(calls, "LeaseService/ReleaseLease", v1::AUDIT_ACTION_LEASE_RELEASE, false);
  Add<&TellRevoke>(calls, "LeaseService/RevokeLeases", v1::AUDIT_ACTION_LEASE_REVOKE, true);

  Add<&TellCreate>(calls, "TenantService/CreateTenant", v1::AUDIT_ACTION_TENANT_CREATE, true);
  AddTenant<v1::UpdateTenantRequest>(calls, "TenantService/UpdateTenant", v1::AUDIT_ACTION_TENANT_UPDATE);
  AddTenant<v1::SuspendTenantRequest>(calls, "TenantService/SuspendTenant", v1::AUDIT_ACTION_TENANT_SUSPEND);
  AddTenant<v1::ResumeTenantRequest>(calls, "TenantService/ResumeTenant", v1::AUDIT_ACTION_TENANT_RESUME);
  AddTenant<v1::DeleteTenantRequest>(calls, "TenantService/DeleteTenant", v1::AUDIT_ACTION_TENANT_DELETE);
  AddTenant<v1::UndeleteTenantRequest>(calls, "TenantService/UndeleteTenant", v1::AUDIT_ACTION_TENANT_UNDELETE);
  AddTenant<v1::RetryTenantRequest>(calls, "TenantService/RetryTenant", v1::AUDIT_ACTION_TENANT_RETRY);
  Add<&TellClone>(calls, "TenantService/CloneTenant", v1::AUDIT_ACTION_TENANT_CLONE, true);

  Add<&TellBackup>(calls, "BackupService/CreateBackup", v1::AUDIT_ACTION_BACKUP_CREATE, true);
  Add<&TellNumbered<v1::DeleteBackupRequest, v1::Backup>>(calls, "BackupService/DeleteBackup",
                                                          v1::AUDIT_ACTION_BACKUP_DELETE, true);
  Add<&TellRestore>(calls, "BackupService/RestoreBackup", v1::AUDIT_ACTION_BACKUP_RESTORE, true);
  Add<&TellNumbered<v1::CancelOperationRequest, v1::Operation>>(calls, "OperationService/CancelOperation",
                                                                v1::AUDIT_ACTION_OPERATION_CANCEL, true);

  Add<&TellRun>(calls, "MigrationService/StartMigrationRun", v1::AUDIT_ACTION_MIGRATION_APPLY, true);
  Add<&TellRunControl<v1::GetMigrationRunRequest>>(calls, "MigrationService/CancelMigrationRun",
                                                   v1::AUDIT_ACTION_MIGRATION_CONTROL, true);
  Add<&TellRunControl<v1::ResumeMigrationRunRequest>>(calls, "MigrationService/ResumeMigrationRun",
                                                      v1::AUDIT_ACTION_MIGRATION_CONTROL, true);
  Add<&TellLog>(calls, "LogService/SetQueryLog", v1::AUDIT_ACTION_LOG_CHANGE, true);
  Add<&TellLogLevel>(calls, "LogService/SetLogLevel", v1::AUDIT_ACTION_LOG_CHANGE, true);
  return calls;
}

}  // namespace

const AuditedCall* FindAuditedCall(std::string_view method) {
  static const auto* const calls = new Calls(AllCalls());
  const auto found = calls->find(AbslView(method));
  return found == calls->end() ? nullptr : &found->second;
}

}  // namespace leasehold::gateway
