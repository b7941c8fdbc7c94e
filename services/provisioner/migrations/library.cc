#include "services/provisioner/migrations/library.h"

#include <format>

#include "common/status/error.h"

namespace leasehold::provisioner {

std::shared_ptr<const Migrations> SharedMigrations::Get() const {
  const absl::MutexLock lock(&state_->mu);
  return state_->current;
}

void SharedMigrations::Set(Migrations migrations) {
  auto next = std::make_shared<const Migrations>(std::move(migrations));
  const absl::MutexLock lock(&state_->mu);
  state_->current.swap(next);
}

absl::Status MigrationLibrary::Reload() {
  if (folder_.empty()) return absl::OkStatus();
  LH_ASSIGN_OR_RETURN(Migrations tenant, ReadMigrations(std::format("{}/tenant", folder_)));
  LH_ASSIGN_OR_RETURN(Migrations central, ReadMigrations(std::format("{}/central", folder_)));
  tenant_.Set(std::move(tenant));
  central_.Set(std::move(central));
  return absl::OkStatus();
}

}  // namespace leasehold::provisioner
