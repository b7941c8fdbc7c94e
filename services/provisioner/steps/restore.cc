#include "services/provisioner/steps/restore.h"

#include <format>
#include <optional>
#include <vector>

#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/provisioner/steps/observe.h"

namespace leasehold::provisioner {
namespace {

using postgres::QuoteIdentifier;

// By comment, or else by owner alone. What Leasehold itself calls something is under way. A comment is what the owner
// says: the database of another tenant's role is that tenant's, whatever it has written on it.
constexpr std::string_view kOthers =
    "SELECT d.datname, coalesce(m.mark = $2, false) FROM pg_database d, LATERAL (SELECT "
    "shobj_description(d.oid, 'pg_database') AS mark, shobj_description(d.datdba, 'pg_authid') AS owner_mark) m "
    "WHERE d.datname <> $1 AND NOT starts_with(d.datname, 'leasehold_') AND $2 IN (m.mark, m.owner_mark) "
    "AND (m.owner_mark = $2 OR NOT starts_with(coalesce(m.owner_mark, ''), $3)) ORDER BY 2 DESC, 1";
constexpr std::string_view kEndSessions =
    "SELECT pg_terminate_backend(a.pid, 5000) FROM pg_stat_activity a JOIN pg_database d ON d.oid = a.datid "
    "WHERE d.datname = $1 AND shobj_description(d.oid, 'pg_database') = $2 AND a.backend_type IN ('client backend', "
    "'walsender')";
constexpr std::string_view kSurplus =
    "SELECT DISTINCT coalesce(quote_ident(g.rolname), 'PUBLIC') "
    "FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) x "
    "LEFT JOIN pg_roles g ON g.oid = x.grantee WHERE d.datname = $1 AND x.grantee <> d.datdba "
    "AND g.rolname IS DISTINCT FROM $2 AND (g.rolname IS DISTINCT FROM $3 OR x.privilege_type <> 'CONNECT' "
    "OR x.is_grantable) AND (x.grantee = 0 OR g.oid IS NOT NULL)";
constexpr std::string_view kMemberships =
    "SELECT quote_ident(r.rolname), quote_ident(m.rolname), quote_ident(g.rolname) FROM pg_auth_members am "
    "JOIN pg_roles r ON r.oid = am.roleid JOIN pg_roles m ON m.oid = am.member JOIN pg_roles g ON g.oid = am.grantor "
    "WHERE (r.rolname = $1 AND m.rolname <> current_user) OR m.rolname = $1";

absl::Status Exec(postgres::Transaction& tx, const std::string& sql) { return tx.Exec(sql).status(); }

}  // namespace

absl::StatusOr<std::vector<std::string>> OtherNames(postgres::Connection& central, const std::string& name,
                                                    std::string_view mark) {
  LH_ASSIGN_OR_RETURN(const pqxx::result others, central.ExecAlone(kOthers, {name, std::string(mark), MarkOf("")}));
  std::vector<std::string> names;
  for (const pqxx::row& row : others) {
    if (row[1].as<bool>()) names.push_back(row[0].as<std::string>());
  }
  return names;
}

absl::Status RestoreName(postgres::Connection& central, const std::string& name, std::string_view mark,
                         const std::function<absl::Status(postgres::Transaction&)>& allowed) {
  LH_ASSIGN_OR_RETURN(const std::optional<ObservedDatabase> present, ObserveDatabase(central, name));
  if (present.has_value()) return absl::OkStatus();
  LH_ASSIGN_OR_RETURN(const pqxx::result others, central.ExecAlone(kOthers, {name, std::string(mark), MarkOf("")}));
  if (others.empty()) return absl::OkStatus();
  const std::string other = others[0][0].as<std::string>();
  const bool alone = others.size() == 1 || !others[1][1].as<bool>();
  if (!others[0][1].as<bool>() || !alone) {
    return Error(v1::REASON_NAME_TAKEN,
                 std::format("database {} is gone, and {} may be what became of it: rename it back or drop it", name,
                             Printable(other)));
  }
  LH_RETURN_IF_ERROR(central.ExecAlone(kEndSessions, {other, std::string(mark)}).status());
  Log(Level::kWarning, "tenant database was renamed; renaming it back",
      {{"database", name}, {"was", Printable(other)}});
  return central.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(allowed(tx));
    LH_RETURN_IF_ERROR(
        Exec(tx, std::format("ALTER DATABASE {} RENAME TO {}", QuoteIdentifier(other), QuoteIdentifier(name))));
    // The rename went by name: was it the one that bears the mark?
    LH_ASSIGN_OR_RETURN(
        const pqxx::result marked,
        tx.Exec("SELECT FROM pg_database WHERE datname = $1 AND shobj_description(oid, 'pg_database') = $2",
                {name, std::string(mark)}));
    if (!marked.empty()) return absl::OkStatus();
    return Error(v1::REASON_NAME_TAKEN, std::format("database {} became another one while it was renamed", other));
  });
}

absl::Status RestoreGrants(postgres::Transaction& tx, const std::string& name, const RoleSpec& owner,
                           const RoleSpec& reader) {
  const std::string database = QuoteIdentifier(name);
  LH_ASSIGN_OR_RETURN(const pqxx::result owned,
                      tx.Exec("SELECT FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE d.datname = $1 "
                              "AND r.rolname <> $2 AND pg_has_role(r.oid, 'USAGE')",
                              {name, owner.name}));
  if (!owned.empty()) {
    LH_RETURN_IF_ERROR(Exec(tx, std::format("ALTER DATABASE {} OWNER TO {}", database, QuoteIdentifier(owner.name))));
  }
  LH_ASSIGN_OR_RETURN(const pqxx::result surplus, tx.Exec(kSurplus, {name, owner.name, reader.name}));
  for (const pqxx::row& row : surplus) {
    // What they granted on goes with it.
    LH_RETURN_IF_ERROR(
        Exec(tx, std::format("REVOKE ALL ON DATABASE {} FROM {} CASCADE", database, row[0].as<std::string>())));
  }
  LH_RETURN_IF_ERROR(Exec(
      tx, std::format("GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {} TO {}", database, QuoteIdentifier(owner.name))));
  return Exec(tx, std::format("GRANT CONNECT ON DATABASE {} TO {}", database, QuoteIdentifier(reader.name)));
}

absl::Status RestoreRole(postgres::Transaction& tx, const RoleSpec& role) {
  LH_ASSIGN_OR_RETURN(const std::optional<ObservedRole> present, ObserveRole(tx, role.name));
  if (!present.has_value() || present->mark != role.mark || !present->may_restore) return absl::OkStatus();
  const std::string name = QuoteIdentifier(role.name);
  if (!present->powers.empty()) {
    std::string sql = std::format("ALTER ROLE {}", name);
    for (const std::string_view power : {"SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS"}) {
      if (present->powers.contains(power)) sql += std::format(" NO{}", power);
    }
    LH_RETURN_IF_ERROR(Exec(tx, sql));
  }
  if (present->members.empty() && present->belongs_to.empty()) return absl::OkStatus();
  LH_ASSIGN_OR_RETURN(const pqxx::result memberships, tx.Exec(kMemberships, {role.name}));
  for (const pqxx::row& row : memberships) {
    LH_RETURN_IF_ERROR(Exec(tx, std::format("REVOKE {} FROM {} GRANTED BY {} CASCADE", row[0].as<std::string>(),
                                            row[1].as<std::string>(), row[2].as<std::string>())));
  }
  return absl::OkStatus();
}

}  // namespace leasehold::provisioner
