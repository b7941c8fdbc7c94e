#include "services/provisioner/steps/elsewhere.h"

#include <format>
#include <string>
#include <string_view>

#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/provisioner/steps/observe.h"

namespace leasehold::provisioner {
namespace {

using postgres::QuoteIdentifier;

// Privileges (a) and policies (r) in databases whose owner is a tenant's, by its mark; and those on such databases,
// which are told of anywhere.
constexpr std::string_view kGiving =
    "SELECT d.datname, pg_get_userbyid(d.datdba), has_database_privilege(d.oid, 'CONNECT'), d.datconnlimit >= 0 "
    "FROM pg_roles r JOIN pg_shdepend s ON s.refclassid = 'pg_authid'::regclass AND s.refobjid = r.oid "
    "JOIN pg_database d ON d.oid = s.dbid OR (s.dbid = 0 AND s.classid = 'pg_database'::regclass AND d.oid = s.objid) "
    "WHERE r.rolname = $1 AND shobj_description(r.oid, 'pg_authid') = $2 AND s.deptype IN ('a', 'r') "
    "AND starts_with(shobj_description(d.datdba, 'pg_authid'), $3) AND pg_has_role(d.datdba, 'USAGE') "
    "AND d.datdba <> r.oid AND d.datallowconn GROUP BY d.oid, d.datname, d.datdba, d.datconnlimit";

absl::Status RevokeIn(const Instance& instance, postgres::Connection& central, const pqxx::row& giving,
                      const RoleSpec& role) {
  const std::string database = giving[0].as<std::string>();
  Log(Level::kWarning, "another tenant has granted privileges to a role that is to be dropped; they are taken away",
      {{"database", database}, {"role", role.name}});
  // Its owner may have shut the database to us.
  if (!giving[2].as<bool>()) {
    LH_RETURN_IF_ERROR(central
                           .ExecAlone(std::format("GRANT CONNECT ON DATABASE {} TO {}", QuoteIdentifier(database),
                                                  QuoteIdentifier(giving[1].as<std::string>())))
                           .status());
  }
  if (giving[3].as<bool>()) {
    LH_RETURN_IF_ERROR(
        central.ExecAlone(std::format("ALTER DATABASE {} CONNECTION LIMIT -1", QuoteIdentifier(database))).status());
  }
  postgres::Connection inside(instance.AsLogin(database));
  LH_RETURN_IF_ERROR(inside.ExecAlone("SET lock_timeout = '5s'").status());
  // The role owns nothing there: that takes a membership.
  return inside.ExecAlone(std::format("DROP OWNED BY {}", QuoteIdentifier(role.name))).status();
}

}  // namespace

absl::Status RevokeElsewhere(const Instance& instance, postgres::Connection& central,
                             std::initializer_list<const RoleSpec*> roles) {
  for (const RoleSpec* role : roles) {
    LH_ASSIGN_OR_RETURN(const pqxx::result giving, central.ExecAlone(kGiving, {role->name, role->mark, MarkOf("")}));
    for (const pqxx::row& row : giving) LH_RETURN_IF_ERROR(RevokeIn(instance, central, row, *role));
  }
  return absl::OkStatus();
}

}  // namespace leasehold::provisioner
