#include "services/provisioner/steps/observe.h"

#include <format>
#include <utility>

#include "common/status/error.h"

namespace leasehold::provisioner {
namespace {

constexpr std::string_view kMarkPrefix = "leasehold:1:";

// Each is followed by one of two conditions: an exact name, whose cost must not grow with the number of tenants, or all
// names of tenants and all that bear a mark. For all, too, it must not grow faster than they do: marks, members and
// grantees are looked up by index, not by functions and joins that PostgreSQL works through as a whole for each row.
constexpr std::string_view kDatabases = R"sql(
SELECT d.datname, coalesce(m.mark, ''), d.datconnlimit <> -2, coalesce(m.owner_mark, ''),
  coalesce(a.open_to_public, false), CASE WHEN w.rolname = d.datname THEN '' ELSE w.rolname END,
  pg_has_role(d.datdba, 'USAGE'), coalesce(a.surplus, ''),
  concat_ws(', ', CASE WHEN a.owner_has < 3 THEN d.datname END,
            CASE WHEN NOT coalesce(a.reader_connects, false) THEN d.datname || '_ro' END),
  NOT pg_has_role(d.datdba, 'USAGE') AND EXISTS (SELECT FROM pg_auth_members am WHERE am.roleid = d.datdba
    AND am.admin_option AND am.member = ANY (ARRAY(SELECT k.oid FROM pg_roles k WHERE k.rolcreaterole
      AND NOT k.rolsuper AND NOT pg_has_role(k.oid, 'MEMBER'))))
FROM pg_database d
JOIN pg_roles w ON w.oid = d.datdba
LEFT JOIN pg_roles o ON o.rolname = d.datname
LEFT JOIN pg_roles r ON r.rolname = (d.datname || '_ro')::name
CROSS JOIN LATERAL (
  SELECT (SELECT s.description FROM pg_shdescription s
          WHERE s.objoid = d.oid AND s.classoid = 'pg_database'::regclass) AS mark,
         (SELECT s.description FROM pg_shdescription s
          WHERE s.objoid = d.datdba AND s.classoid = 'pg_authid'::regclass) AS owner_mark) m
CROSS JOIN LATERAL (
  SELECT bool_or(x.grantee = 0 AND x.privilege_type IN ('CONNECT', 'TEMPORARY')) AS open_to_public,
    count(DISTINCT x.privilege_type) FILTER (WHERE x.grantee = o.oid) AS owner_has,
    bool_or(x.grantee = r.oid AND x.privilege_type = 'CONNECT') AS reader_connects,
    string_agg(DISTINCT CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END, ', ')
      FILTER (WHERE x.grantee <> d.datdba AND x.grantee IS DISTINCT FROM o.oid
              AND (x.grantee IS DISTINCT FROM r.oid OR x.privilege_type <> 'CONNECT' OR x.is_grantable)) AS surplus
  FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) x) a
)sql";
constexpr std::string_view kThatDatabase = "WHERE d.datname = $1::name";
constexpr std::string_view kAllDatabases =
    "WHERE starts_with(d.datname, 'tenant_') OR starts_with(d.datname, 'leasehold_') "
    "OR starts_with(m.mark, 'leasehold:1:') OR starts_with(m.owner_mark, 'leasehold:1:')";

// The claimer (ClaimerOf the login, in SQL) is no member worth telling of: it is let at spares, and for a while at what
// they became. Only a superuser takes SUPERUSER away, and REPLICATION or BYPASSRLS who has it; a membership who may act
// as its grantor.
constexpr std::string_view kRoles = R"sql(
SELECT r.rolname, coalesce(m.mark, ''), r.rolcanlogin,
  concat_ws(', ', CASE WHEN r.rolsuper THEN 'SUPERUSER' END, CASE WHEN r.rolcreatedb THEN 'CREATEDB' END,
            CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END, CASE WHEN r.rolreplication THEN 'REPLICATION' END,
            CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END),
  coalesce(i.members, ''), coalesce(b.roles, ''),
  me.rolsuper OR (NOT r.rolsuper AND coalesce(i.administered, false)
    AND (me.rolreplication OR NOT r.rolreplication) AND (me.rolbypassrls OR NOT r.rolbypassrls)
    AND coalesce(i.may_revoke, true) AND coalesce(b.may_revoke, true)),
  NOT coalesce(i.administered, false) AND EXISTS (SELECT FROM pg_auth_members am WHERE am.roleid = r.oid
    AND am.admin_option AND am.member = ANY (ARRAY(SELECT k.oid FROM pg_roles k WHERE k.rolcreaterole
      AND NOT k.rolsuper AND NOT pg_has_role(k.oid, 'MEMBER'))))
FROM pg_roles r
JOIN pg_roles me ON me.rolname = current_user
CROSS JOIN LATERAL (
  SELECT (SELECT s.description FROM pg_shdescription s
          WHERE s.objoid = r.oid AND s.classoid = 'pg_authid'::regclass) AS mark) m
CROSS JOIN LATERAL (
  SELECT string_agg(DISTINCT pg_get_userbyid(am.member), ', ')
      FILTER (WHERE am.member <> me.oid AND am.member IS DISTINCT FROM (SELECT c.oid FROM pg_roles c
              WHERE c.rolname = ('leasehold_claims_' || left(encode(sha256(convert_to(current_user, 'UTF8')), 'hex'), 8))::name)
             ) AS members,
    bool_and(pg_has_role(am.grantor, 'USAGE')) FILTER (WHERE am.member <> me.oid) AS may_revoke,
    -- What pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION') tells by going through all roles of ours, each time.
    bool_or(am.admin_option AND pg_has_role(am.member, 'MEMBER')) AS administered
  FROM pg_auth_members am WHERE am.roleid = r.oid) i
CROSS JOIN LATERAL (
  SELECT string_agg(DISTINCT pg_get_userbyid(am.roleid), ', ') AS roles,
    bool_and(pg_has_role(am.grantor, 'USAGE')) AS may_revoke
  -- The order has PostgreSQL look into the index, also where it knows that one role, ours, is a member of all others, and
  -- takes that for the rule.
  FROM (SELECT roleid, grantor FROM pg_auth_members WHERE member = r.oid ORDER BY member, roleid LIMIT 100) am) b
)sql";
constexpr std::string_view kThatRole = "WHERE r.rolname = $1::name";
constexpr std::string_view kAllRoles = "WHERE starts_with(r.rolname, 'tenant_') OR starts_with(m.mark, 'leasehold:1:')";

// Another text whenever a row that the two above can depend on is another one. What changes a row gives it another
// xmin, but for DROP DATABASE, which says in place that it has begun. pg_authid is not everybody's to read; the view
// over it has no xmin.
constexpr std::string_view kCatalogs = R"sql(
SELECT format('%s %s %s %s',
  (SELECT bit_xor(hash_record_extended(ROW(oid, xmin, datconnlimit), 0)) FROM pg_database),
  (SELECT bit_xor(hash_record_extended(ROW(roleid, member, grantor, xmin), 0)) FROM pg_auth_members),
  (SELECT bit_xor(hash_record_extended(ROW(classoid, objoid, xmin), 0)) FROM pg_shdescription),
  (SELECT bit_xor(hash_record_extended(ROW(oid, rolname, rolcanlogin, rolsuper, rolinherit, rolcreatedb, rolcreaterole,
     rolreplication, rolbypassrls), 0)) FROM pg_roles))
)sql";

std::string Query(std::string_view what, std::string_view which) { return std::format("{}{}", what, which); }

ObservedDatabase DatabaseOf(const pqxx::row& row) {
  return {.mark = row[1].as<std::string>(),
          .owner_mark = row[3].as<std::string>(),
          .valid = row[2].as<bool>(),
          .open_to_public = row[4].as<bool>(),
          .other_owner = row[5].as<std::string>(),
          .may_alter = row[6].as<bool>(),
          .of_another = row[9].as<bool>(),
          .surplus = row[7].as<std::string>(),
          .lacking = row[8].as<std::string>()};
}

std::string_view WithoutSuffix(std::string_view name, std::string_view suffix) {
  return name.ends_with(suffix) ? name.substr(0, name.size() - suffix.size()) : std::string_view();
}

ObservedRole RoleOf(const pqxx::row& row) {
  return {.mark = row[1].as<std::string>(),
          .can_login = row[2].as<bool>(),
          .powers = row[3].as<std::string>(),
          .members = row[4].as<std::string>(),
          .belongs_to = row[5].as<std::string>(),
          .may_restore = row[6].as<bool>(),
          .of_another = row[7].as<bool>()};
}

}  // namespace

std::string MarkOf(std::string_view database_id) { return std::format("{}{}", kMarkPrefix, database_id); }
std::string_view DatabaseIdOfMark(std::string_view mark) {
  return mark.starts_with(kMarkPrefix) ? mark.substr(kMarkPrefix.size()) : std::string_view();
}
bool IsOf(const ObservedDatabase& database, std::string_view database_id) {
  return database.mark == MarkOf(database_id) || database.owner_mark == MarkOf(database_id);
}
std::string StagingName(std::string_view database_id) { return std::format("leasehold_new_{}", database_id); }
std::string StagingReadOnlyRole(std::string_view database_id) {
  return std::format("leasehold_new_{}_ro", database_id);
}

absl::StatusOr<ObservedInstance> ObserveAll(postgres::Connection& central, const ServiceName& service) {
  ObservedInstance seen;
  const absl::Status read = central.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(const pqxx::result databases, tx.Exec(Query(kDatabases, kAllDatabases)));
    for (const auto& row : databases) {
      std::string name = row[0].as<std::string>();
      if (const auto id = TenantOfDatabase(name, service)) {
        seen.tenants[id->str()].database = DatabaseOf(row);
      } else {
        seen.other_databases.emplace(std::move(name), DatabaseOf(row));
      }
    }
    LH_ASSIGN_OR_RETURN(const pqxx::result roles, tx.Exec(Query(kRoles, kAllRoles)));
    for (const auto& row : roles) {
      std::string name = row[0].as<std::string>();
      if (const auto id = TenantOfDatabase(name, service)) {
        seen.tenants[id->str()].owner = RoleOf(row);
      } else if (const auto reader = TenantOfDatabase(WithoutSuffix(name, "_ro"), service)) {
        seen.tenants[reader->str()].read_only = RoleOf(row);
      } else {
        seen.other_roles.emplace(std::move(name), RoleOf(row));
      }
    }
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(read);
  return seen;
}

absl::StatusOr<const ObservedInstance*> InstanceObserver::Observe(postgres::Connection& central) {
  LH_ASSIGN_OR_RETURN(const pqxx::result now, central.ExecAlone(kCatalogs));
  std::string catalogs = now[0][0].as<std::string>();
  if (catalogs != catalogs_) {
    catalogs_.clear();
    LH_ASSIGN_OR_RETURN(observed_, ObserveAll(central, service_));
    catalogs_ = std::move(catalogs);
    ++reads_;
  }
  return &observed_;
}

absl::StatusOr<ObservedTenant> Observe(postgres::Connection& central, const ServiceName& service,
                                       const TenantId& tenant) {
  ObservedTenant observed;
  const std::string name = TenantDatabaseName(tenant, service);
  const absl::Status read = central.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(const pqxx::result databases, tx.Exec(Query(kDatabases, kThatDatabase), {name}));
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
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, central.ExecAlone(Query(kDatabases, kThatDatabase), {name}));
  if (rows.empty()) return std::nullopt;
  return DatabaseOf(rows[0]);
}

absl::StatusOr<std::optional<ObservedRole>> ObserveRole(postgres::Transaction& tx, const std::string& name) {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, tx.Exec(Query(kRoles, kThatRole), {name}));
  if (rows.empty()) return std::nullopt;
  return RoleOf(rows[0]);
}

}  // namespace leasehold::provisioner
