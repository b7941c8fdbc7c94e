#include "services/provisioner/steps/migrate_database.h"

#include "common/status/error.h"

namespace leasehold::provisioner {

absl::Status WithOwner(const Instance& instance, const MigrationTarget& target, MigrateResult& result,
                       const MigrationWork& work) {
  const Secret secret = instance.HistorySecret(target.id);
  const postgres::ConnectOptions options = instance.AsRole(
      target.database, target.owner, target.role_id.empty() ? target.id : target.role_id, RoleKind::kOwner);
  absl::Status status;
  {
    postgres::Connection owner(options);
    status = work(owner, secret);
  }
  if (!result.unprepared) return status;
  {
    postgres::Connection keeper(instance.AsLogin(target.database));
    LH_RETURN_IF_ERROR(PrepareHistory(keeper, target.owner, secret));
  }
  result = MigrateResult();
  postgres::Connection owner(options);
  return work(owner, secret);
}

absl::Status MigrateDatabase(const Instance& instance, const MigrationTarget& target, const Migrations& migrations,
                             const MigrateOptions& options, MigrateResult& result) {
  return WithOwner(instance, target, result, [&](postgres::Connection& owner, const Secret& secret) {
    return Migrate(owner, secret, migrations, options, result);
  });
}

}  // namespace leasehold::provisioner
