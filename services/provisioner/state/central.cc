#include "services/provisioner/state/central.h"

#include <format>

#include "common/identity/identity.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/provisioner/migrations/history.h"
#include "services/provisioner/steps/claimer.h"
#include "services/provisioner/steps/migrate_database.h"
#include "services/provisioner/steps/observe.h"
#include "services/provisioner/steps/roles.h"
#include "services/provisioner/steps/schema_note.h"

namespace leasehold::provisioner {
namespace {

using postgres::QuoteIdentifier;

constexpr std::string_view kNoSuchDatabase = "3D000";
// PostgreSQL's own database for those who have none yet.
constexpr std::string_view kMaintenanceDatabase = "postgres";

absl::Status CreateIfAbsent(const Instance& instance) {
  postgres::Connection maintenance(instance.AsLogin(kMaintenanceDatabase));
  LH_ASSIGN_OR_RETURN(const auto present, ObserveDatabase(maintenance, instance.central_database()));
  if (present.has_value()) return absl::OkStatus();
  const absl::Status status =
      maintenance
          .ExecAlone(std::format("CREATE DATABASE {} TEMPLATE template0", QuoteIdentifier(instance.central_database())))
          .status();
  if (postgres::SqlStateOf(status) == "42P04") return absl::OkStatus();  // somebody else was faster
  if (status.ok()) Log(Level::kInfo, "central database created", {{"database", instance.central_database()}});
  return status;
}

absl::Status CheckOwner(postgres::Transaction& tx) {
  LH_ASSIGN_OR_RETURN(const pqxx::result owns,
                      tx.Exec("SELECT pg_has_role(current_user, datdba, 'USAGE') FROM pg_database "
                              "WHERE datname = current_database()"));
  if (owns[0][0].as<bool>()) return absl::OkStatus();
  return Error(v1::REASON_INSUFFICIENT_PRIVILEGE, "the provisioner's login does not own the central database");
}

absl::Status MakeCentralRoles(postgres::Transaction& tx, const Instance& instance, const RoleSpec& owner,
                              const RoleSpec& reader) {
  for (const RoleSpec* role : {&owner, &reader}) {
    // Always renewed: so a new role key takes effect at the next start.
    LH_RETURN_IF_ERROR(
        MakeRole(tx, *role, instance.RoleSecret(RoleKey::kCentralId, role->kind), /*renew_secret=*/true));
    LH_RETURN_IF_ERROR(SetLogin(tx, *role, true));
  }
  return absl::OkStatus();
}

absl::Status GrantCentral(postgres::Transaction& tx, const Instance& instance, const RoleSpec& owner_role,
                          const RoleSpec& reader_role) {
  const std::string database = QuoteIdentifier(instance.central_database());
  const std::string owner = QuoteIdentifier(owner_role.name);
  const std::string reader = QuoteIdentifier(reader_role.name);
  const std::string defaults = std::format("ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT ", owner);
  for (const std::string& sql : {
           std::format("REVOKE ALL ON DATABASE {} FROM PUBLIC", database),
           std::format("GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {} TO {}", database, owner),
           std::format("GRANT CONNECT ON DATABASE {} TO {}", database, reader),
           std::string("REVOKE ALL ON SCHEMA public FROM PUBLIC"),
           std::format("GRANT USAGE, CREATE ON SCHEMA public TO {}", owner),
           std::format("GRANT USAGE ON SCHEMA public TO {}", reader),
           std::format("{}SELECT ON TABLES TO {}", defaults, reader),
           std::format("{}SELECT ON SEQUENCES TO {}", defaults, reader),
           std::format("{}USAGE ON SCHEMAS TO {}", defaults, reader),
       }) {
    LH_RETURN_IF_ERROR(tx.Exec(sql).status());
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> IsToMigrate(postgres::Connection& central, const Migrations& migrations, bool keep_version) {
  if (migrations.empty()) return false;
  if (!keep_version) return true;
  LH_ASSIGN_OR_RETURN(const History history, ReadHistoryAsKeeper(central));
  return history.empty();
}

}  // namespace

absl::Status PrepareCentral(const Instance& instance, const Migrations& migrations,
                            const std::function<absl::Status()>& go_on, bool keep_version) {
  const std::string name = instance.central_database();
  const RoleSpec owner{
      .name = CentralRole(instance.service()), .mark = MarkOf(RoleKey::kCentralId), .kind = RoleKind::kOwner};
  const RoleSpec reader{.name = CentralReadOnlyRole(instance.service()),
                        .mark = MarkOf(RoleKey::kCentralId),
                        .kind = RoleKind::kReadOnly};

  LH_RETURN_IF_ERROR(go_on());
  postgres::Connection central(instance.AsLogin(name));
  if (postgres::SqlStateOf(central.Connect()) == kNoSuchDatabase) {
    LH_RETURN_IF_ERROR(Explain(CreateIfAbsent(instance), "creating the central database"));
  }
  // All of it in one transaction: PrepareRecords() makes provisioners that start at the same time wait for each other.
  const absl::Status prepared = central.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(CheckOwner(tx));
    LH_RETURN_IF_ERROR(PrepareRecords(tx));
    LH_RETURN_IF_ERROR(MakeClaimer(tx, ClaimerOf(instance.login())));
    LH_RETURN_IF_ERROR(MakeCentralRoles(tx, instance, owner, reader));
    LH_RETURN_IF_ERROR(GrantCentral(tx, instance, owner, reader));
    return PrepareHistory(tx, owner.name, instance.HistorySecret(RoleKey::kCentralId));
  });
  LH_RETURN_IF_ERROR(Explain(prepared, "preparing the central database"));

  LH_RETURN_IF_ERROR(go_on());
  LH_ASSIGN_OR_RETURN(const bool migrate, IsToMigrate(central, migrations, keep_version));
  if (!migrate) return absl::OkStatus();
  MigrateResult result;
  const MigrationTarget target{.database = name, .owner = owner.name, .id = std::string(RoleKey::kCentralId)};
  LH_RETURN_IF_ERROR(Explain(MigrateDatabase(instance, target, migrations, {.go_on = go_on}, result),
                             "migrating the central database"));
  const SchemaNote note{
      .database_id = std::string(RoleKey::kCentralId), .version = *result.version, .digest = result.digest};
  return Explain(NoteSchema(central, note), "recording the schema's version");
}

}  // namespace leasehold::provisioner
