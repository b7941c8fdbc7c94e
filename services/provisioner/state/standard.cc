#include "services/provisioner/state/standard.h"

#include <utility>

#include "services/provisioner/migrations/history.h"

namespace leasehold::provisioner {

Standard StandardOf(const Migrations& files, std::string role_key) {
  const int newest = NewestVersion(files);
  return {.schema_version = newest, .schema_digest = DigestOf(files, newest), .role_key = std::move(role_key)};
}

Standard CurrentStandard::Get() const {
  const std::shared_ptr<const Migrations> files = files_.Get();
  const absl::MutexLock lock(&mu_);
  if (read_ != files) {
    standard_ = StandardOf(*files, role_key_);
    read_ = files;
  }
  return standard_;
}

}  // namespace leasehold::provisioner
