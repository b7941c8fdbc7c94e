#include "services/gateway/api/backup_service.h"

#include <optional>
#include <utility>
#include <vector>

#include "common/config/config.h"
#include "common/status/error.h"
#include "services/gateway/api/page.h"
#include "services/gateway/api/tenant_request.h"
#include "services/gateway/api/timed_position.h"
#include "services/gateway/api/unary.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {
namespace {

constexpr std::string_view kList = "backups";

absl::Status Create(Store& store, const v1::CreateBackupRequest& request, v1::BackupChange* response) {
  LH_ASSIGN_OR_RETURN(const TenantId tenant, TenantId::Parse(request.tenant()));
  LH_ASSIGN_OR_RETURN(const RequestKey key, CheckRequestId("CreateBackup", request));
  LH_ASSIGN_OR_RETURN(*response, store.CreateBackup(tenant, key));
  return absl::OkStatus();
}

absl::Status Get(Store& store, const v1::GetBackupRequest& request, v1::Backup* response) {
  LH_ASSIGN_OR_RETURN(const OperationId id, OperationId::Parse(request.id()));
  LH_ASSIGN_OR_RETURN(*response, store.GetBackup(id));
  return absl::OkStatus();
}

absl::Status List(Store& store, const v1::ListBackupsRequest& request, v1::ListBackupsResponse* response) {
  LH_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size(), 100, 1000));
  if (!request.tenant().empty()) LH_RETURN_IF_ERROR(TenantId::Parse(request.tenant()).status());
  std::optional<v1::Backup> after;
  if (!request.page_token().empty()) {
    LH_ASSIGN_OR_RETURN(const std::string position, PositionOf(kList, request.page_token()));
    LH_ASSIGN_OR_RETURN(const TimedPosition before, TimedPosition::Parse(position));
    after.emplace().set_id(before.id.str());
    *after->mutable_create_time() = FromTime(before.time);
  }
  // One more, to know whether this page is the last.
  LH_ASSIGN_OR_RETURN(std::vector<v1::Backup> backups, store.ListBackups(request.tenant(), size + 1, after));
  if (backups.size() > static_cast<size_t>(size)) {
    backups.pop_back();
    response->set_next_page_token(PageToken(kList, TimedPosition::Text(backups.back())));
  }
  for (v1::Backup& backup : backups) *response->add_backups() = std::move(backup);
  return absl::OkStatus();
}

absl::Status Delete(Store& store, const v1::DeleteBackupRequest& request, v1::Backup* response) {
  LH_ASSIGN_OR_RETURN(const OperationId id, OperationId::Parse(request.id()));
  LH_ASSIGN_OR_RETURN(const RequestKey key, CheckRequestId("DeleteBackup", request));
  LH_ASSIGN_OR_RETURN(*response, store.DeleteBackup(id, key));
  return absl::OkStatus();
}

absl::Status Restore(Store& store, const v1::RestoreBackupRequest& request, v1::TenantChange* response) {
  const absl::StatusOr<OperationId> backup = OperationId::Parse(request.backup());
  if (!backup.ok()) return WithField(backup.status(), "backup");
  v1::Tenant tenant = request.tenant();
  if (tenant.id().empty()) tenant.set_id(backup->tenant.str());
  LH_ASSIGN_OR_RETURN(const NewTenant checked, CheckNew(tenant));
  LH_ASSIGN_OR_RETURN(const RequestKey key, CheckRequestId("RestoreBackup", request));
  LH_ASSIGN_OR_RETURN(*response, store.Restore(*backup, checked, request.in_place(), key));
  return absl::OkStatus();
}

}  // namespace

absl::Status BackupService::CheckFolder() const {
  if (has_folder_) return absl::OkStatus();
  v1::ErrorDetail detail;
  detail.set_reason(v1::REASON_INVALID_FIELD);
  detail.set_field("provisioner.backup_folder");
  detail.set_allowed("a folder that every provisioner can write to");
  return WithDetail(absl::FailedPreconditionError(
                        "there is no folder for backups: the configuration lacks provisioner.backup_folder"),
                    detail);
}

grpc::ServerUnaryReactor* BackupService::CreateBackup(grpc::CallbackServerContext* context,
                                                      const v1::CreateBackupRequest* request,
                                                      v1::BackupChange* response) {
  if (const absl::Status status = CheckFolder(); !status.ok()) return AnswerNow(context, status);
  return AnswerOn(registry_.executor(), context,
                  [this, request, response] { return Create(registry_.store(), *request, response); });
}

grpc::ServerUnaryReactor* BackupService::GetBackup(grpc::CallbackServerContext* context,
                                                   const v1::GetBackupRequest* request, v1::Backup* response) {
  return AnswerOn(registry_.executor(), context,
                  [this, request, response] { return Get(registry_.store(), *request, response); });
}

grpc::ServerUnaryReactor* BackupService::ListBackups(grpc::CallbackServerContext* context,
                                                     const v1::ListBackupsRequest* request,
                                                     v1::ListBackupsResponse* response) {
  return AnswerOn(registry_.executor(), context,
                  [this, request, response] { return List(registry_.store(), *request, response); });
}

grpc::ServerUnaryReactor* BackupService::DeleteBackup(grpc::CallbackServerContext* context,
                                                      const v1::DeleteBackupRequest* request, v1::Backup* response) {
  return AnswerOn(registry_.executor(), context,
                  [this, request, response] { return Delete(registry_.store(), *request, response); });
}

grpc::ServerUnaryReactor* BackupService::RestoreBackup(grpc::CallbackServerContext* context,
                                                       const v1::RestoreBackupRequest* request,
                                                       v1::TenantChange* response) {
  if (const absl::Status status = CheckFolder(); !status.ok()) return AnswerNow(context, status);
  return AnswerOn(registry_.executor(), context,
                  [this, request, response] { return Restore(registry_.store(), *request, response); });
}

}  // namespace leasehold::gateway
