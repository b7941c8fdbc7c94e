// Where a provisioner learns which backups the registry wants.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "leasehold/v1/provisioner.pb.h"

namespace leasehold::provisioner {

class BackupSource {
 public:
  virtual ~BackupSource() = default;
  // All that the service has still to take or to remove, oldest first. Blocks; one thread at a time.
  virtual absl::StatusOr<std::vector<v1::BackupWork>> ListBackupWork() = 0;
};

}  // namespace leasehold::provisioner
