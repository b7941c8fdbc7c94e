// leasehold.v1.BackupService over the registry: fields are checked here, at the border; the work is the store's.
#pragma once

#include <grpcpp/grpcpp.h>

#include "leasehold/v1/backup.grpc.pb.h"
#include "services/gateway/registry/registry.h"

namespace leasehold::gateway {

// Nothing blocks: calls run on the registry's executor. `registry` outlives it.
class BackupService : public v1::BackupService::CallbackService {
 public:
  // `has_folder`: provisioner.backup_folder is configured; without it no backup begins and none is restored.
  BackupService(Registry& registry, bool has_folder) : registry_(registry), has_folder_(has_folder) {}

  grpc::ServerUnaryReactor* CreateBackup(grpc::CallbackServerContext* context, const v1::CreateBackupRequest* request,
                                         v1::BackupChange* response) override;
  grpc::ServerUnaryReactor* GetBackup(grpc::CallbackServerContext* context, const v1::GetBackupRequest* request,
                                      v1::Backup* response) override;
  grpc::ServerUnaryReactor* ListBackups(grpc::CallbackServerContext* context, const v1::ListBackupsRequest* request,
                                        v1::ListBackupsResponse* response) override;
  grpc::ServerUnaryReactor* DeleteBackup(grpc::CallbackServerContext* context, const v1::DeleteBackupRequest* request,
                                         v1::Backup* response) override;
  grpc::ServerUnaryReactor* RestoreBackup(grpc::CallbackServerContext* context, const v1::RestoreBackupRequest* request,
                                          v1::TenantChange* response) override;

 private:
  // FAILED_PRECONDITION/INVALID_FIELD.
  absl::Status CheckFolder() const;

  Registry& registry_;
  const bool has_folder_;
};

}  // namespace leasehold::gateway
