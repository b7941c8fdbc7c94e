// Fills a tenant's database from its origin, a backup or another tenant: builds a new one under a name of its own
// beside whatever the tenant has, checks it, and moves it into place in one transaction with the record of it. Until
// then the tenant keeps what it has; a run that fails, is killed or overtaken has changed nothing.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "common/clock/clock.h"
#include "common/postgres/postgres.h"
#include "services/provisioner/archive/contents.h"
#include "services/provisioner/archive/copy_meter.h"
#include "services/provisioner/archive/manifest.h"
#include "services/provisioner/archive/tools.h"
#include "services/provisioner/migrations/folder.h"
#include "services/provisioner/state/records.h"
#include "services/provisioner/steps/instance.h"
#include "services/provisioner/steps/roles.h"
#include "services/provisioner/steps/tenant_lock.h"

namespace leasehold::provisioner {

// One run for one tenant. Blocks. One thread.
class Refill {
 public:
  // `record` has an origin and a fill_database_id. `central`: a connection of the provisioner's login to the central
  // database. `backup_folder`: empty if none is configured. All references outlive this.
  Refill(const Instance& instance, const Migrations& migrations, postgres::Connection& central, const Clock& clock,
         std::filesystem::path backup_folder, const TenantRecord& record);
  ~Refill();

  // Afterwards the record's database is the new one, migrated, its roles log in; the old one and its sessions are gone.
  // `go_on` is asked often, also while data is copied; how far that is, `tell` hears. BACKUP_DAMAGED, BACKUP_FAILED and
  // the errors of TenantDatabase::Run. If another provisioner has the tenant in hand nothing happens, and `elsewhere`
  // is true.
  absl::Status Run(const GoOn& go_on, const CopyMeter::Tell& tell);

  // Drops what a run has left behind that is not to be finished.
  absl::Status Discard(const GoOn& go_on);

  bool elsewhere() const { return elsewhere_; }

 private:
  // True: another provisioner has it.
  absl::StatusOr<bool> TakeInHand(const GoOn& go_on);
  absl::Status Step(std::string_view doing, const std::function<absl::Status()>& work);
  absl::Status MakeRoles();
  absl::Status Create();
  absl::Status Fill(const CopyMeter::Tell& tell);
  absl::Status FillFromBackup(CopyMeter& meter);
  absl::Status FillFromTenant(CopyMeter& meter);
  // go_on_, and a look at how far it is.
  GoOn Watching(CopyMeter& meter) const;
  absl::Status Check();
  absl::Status MigrateNew();
  absl::Status MoveIntoPlace();
  absl::Status Swap(postgres::Transaction& tx);
  absl::Status TakeOverRole(postgres::Transaction& tx, const RoleSpec& role);
  absl::Status DropStaging();
  // NAME_TAKEN for a database in place that is not the tenant's own.
  absl::Status CheckPlace();
  postgres::Connection& Inside();
  postgres::ConnectOptions AsOwner() const;

  const Instance& instance_;
  const Migrations& migrations_;
  postgres::Connection& central_;
  const Clock& clock_;
  const std::filesystem::path backup_folder_;
  const TenantRecord record_;
  // Under which the roles are known until the new database is in place: that of the old one, if there is any.
  const std::string role_id_;
  const std::string database_;
  const std::string staging_;
  const RoleSpec owner_;
  const RoleSpec read_only_;
  TenantLock lock_;
  bool elsewhere_ = false;
  GoOn go_on_;
  Contents contents_;       // of the origin
  int schema_version_ = 0;  // of the new database
  std::unique_ptr<postgres::Connection> inside_;
};

}  // namespace leasehold::provisioner
