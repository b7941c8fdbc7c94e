// What a backup's services have made of it, taken together. Pure; any thread.
#pragma once

#include "absl/status/status.h"
#include "leasehold/v1/backup.pb.h"
#include "services/gateway/registry/tenant_state.h"

namespace leasehold::gateway {

// `removed`: cancelled or deleted.
v1::BackupState StateOf(const v1::Backup& backup, bool removed);

// OK if each configured service's part is there; BACKUP_INCOMPLETE names the first that is not.
absl::Status CheckRestorable(const v1::Backup& backup, Services services);

// How far its operation is.
Progress ProgressOf(const v1::Backup& backup);

// Whether `report` says something of a backup that a service knew as `known`. What is there stays until it is to be
// removed; what is removed never comes back.
bool IsNews(const v1::BackupStatus& known, const v1::BackupStatus& report, bool removed);

}  // namespace leasehold::gateway
