#include "services/provisioner/steps/observe.h"

#include <format>

#include "common/status/error.h"

namespace leasehold::provisioner {
namespace {

// Each takes one parameter: an exact name, or NULL for all names of tenants.
constexpr std::string_view kDatabases =
    "SELECT d.datname, coalesce(shobj_description(d.oid, 'pg_database'), ''), d.datconnlimit <> -2,"
    " coalesce(shobj_description(d.datdba, 'pg_authid'), ''),"
    " EXISTS (SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a"
    "         WHERE a.grantee = 0 AND a.privilege_type IN ('CONNECT', 'TEMPORARY')) "
    "FROM pg_database d WHERE CASE WHEN $1::text IS NULL THEN starts_with(d.datname, 'tenant_') ELSE d.datname = $1 "
    "END";
constexpr std::string_view kRoles =
    "SELECT r.rolname, coalesce(shobj_description(r.oid, 'pg_authid'), ''), r.rolcanlogin "
    "FROM pg_roles r WHERE CASE WHEN $1::text IS NULL THEN starts_with(r.rolname, 'tenant_') ELSE r.rolname = $1 END";

ObservedDatabase DatabaseOf(const pqxx::row& row) {
  return {.mark = row[1].as<std::string>(),
          .owner_mark = row[3].as<std::string>(),
          .valid = row[2].as<bool>(),
          .open_to_public = row[4].as<bool>()};
}

std::string_view WithoutSuffix(std::string_view name, std::string_view suffix) {
  return name.ends_with(suffix) ? name.substr(0, name.size() - suffix.size()) : std::string_view();
}

ObservedRole RoleOf(const pqxx::row& row) { return {.mark = row[1].as<std::string>(), .can_login = row[2].as<bool>()}; }

}  // namespace

std::string MarkOf(std::string_view database_id) { return std::format("leasehold:1:{}", database_id); }
bool IsOf(const ObservedDatabase& database, std::string_view database_id) {
  return database.mark == MarkOf(database_id) || database.owner_mark == MarkOf(database_id);
}
std::string StagingName(std::string_view database_id) { return std::format("leasehold_new_{}", database_id); }

absl::StatusOr<std::map<std::string, ObservedTenant>> ObserveAll(postgres::Connection& central,
                                                                 const ServiceName& service) {
  std::map<std::string, ObservedTenant> tenants;
  const absl::Status read = central.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(const pqxx::result databases, tx.Exec(kDatabases, {std::nullopt}));
    for (const auto& row : databases) {
      if (const auto id = TenantOfDatabase(row[0].as<std::string>(), service)) {
        tenants[id->str()].database = DatabaseOf(row);
      }
    }
    LH_ASSIGN_OR_RETURN(const pqxx::result roles, tx.Exec(kRoles, {std::nullopt}));
    for (const auto& row : roles) {
      const std::string name = row[0].as<std::string>();
      if (const auto id = TenantOfDatabase(name, service)) {
        tenants[id->str()].owner = RoleOf(row);
      } else if (const auto reader = TenantOfDatabase(WithoutSuffix(name, "_ro"), service)) {
        tenants[reader->str()].read_only = RoleOf(row);
      }
    }
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(read);
  return tenants;
}

absl::StatusOr<ObservedTenant> Observe(postgres::Connection& central, const ServiceName& service,
                                       const TenantId& tenant) {
  ObservedTenant observed;
  const std::string name = TenantDatabaseName(tenant, service);
  const absl::Status read = central.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(const pqxx::result databases, tx.Exec(kDatabases, {name}));
    if (!databases.empty()) observed.database = DatabaseOf(databases[0]);
    LH_ASSIGN_OR_RETURN(observed.owner, ObserveRole(tx, name));
    LH_ASSIGN_OR_RETURN(observed.read_only, ObserveRole(tx, TenantReadOnlyRole(tenant, service)));
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(read);
  return observed;
}

absl::StatusOr<std::optional<ObservedDatabase>> ObserveDatabase(postgres::Connection& central,
                                                                const std::string& name) {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, central.ExecAlone(kDatabases, {name}));
  if (rows.empty()) return std::nullopt;
  return DatabaseOf(rows[0]);
}

absl::StatusOr<std::optional<ObservedRole>> ObserveRole(postgres::Transaction& tx, const std::string& name) {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, tx.Exec(kRoles, {name}));
  if (rows.empty()) return std::nullopt;
  return RoleOf(rows[0]);
}

}  // namespace leasehold::provisioner
