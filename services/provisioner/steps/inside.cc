#include "services/provisioner/steps/inside.h"

#include <format>
#include <string_view>

#include "common/status/error.h"

namespace leasehold::provisioner {
namespace {

// $1 the owner, $2 the reader. Default privileges count where they hold for every schema.
constexpr std::string_view kFaults = R"sql(
WITH o AS (SELECT oid FROM pg_roles WHERE rolname = $1),
     r AS (SELECT oid FROM pg_roles WHERE rolname = $2),
     owned AS (
  SELECT c.oid, c.relkind, format('%I.%I', n.nspname, c.relname) AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relowner = (SELECT oid FROM o) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    AND n.nspname NOT LIKE 'pg\_%')
SELECT widened, object, message, remedy FROM (
  SELECT true, 'schema public', 'PUBLIC was granted something on schema public', 'REVOKE ALL ON SCHEMA public FROM PUBLIC'
  FROM pg_namespace n WHERE n.nspname = 'public'
    AND EXISTS (SELECT FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a WHERE a.grantee = 0)
  UNION ALL
  SELECT true, format('schema %I', n.nspname), 'the read-only role may create things in a schema',
    format('REVOKE CREATE ON SCHEMA %I FROM %I', n.nspname, $2)
  FROM pg_namespace n, aclexplode(n.nspacl) a
  WHERE n.nspname NOT LIKE 'pg\_%' AND a.grantee = (SELECT oid FROM r) AND a.privilege_type = 'CREATE'
  UNION ALL
  SELECT false, format('schema %I', n.nspname), 'the read-only role may not use a schema',
    format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, $2)
  FROM pg_namespace n
  WHERE (n.nspname = 'public' OR n.nspowner = (SELECT oid FROM o)) AND n.nspname NOT LIKE 'pg\_%'
    AND NOT EXISTS (SELECT FROM aclexplode(n.nspacl) a
                    WHERE a.grantee = (SELECT oid FROM r) AND a.privilege_type = 'USAGE')
  UNION ALL
  SELECT false, 'default privileges', 'the read-only role will not read what is made from now on',
    format('ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT %s TO %I', $1, d.granted, $2)
  FROM (VALUES ('r', 'SELECT', 'SELECT ON TABLES'), ('S', 'SELECT', 'SELECT ON SEQUENCES'),
               ('n', 'USAGE', 'USAGE ON SCHEMAS')) AS d (kind, privilege, granted)
  WHERE NOT EXISTS (SELECT FROM pg_default_acl p, aclexplode(p.defaclacl) a
                    WHERE p.defaclrole = (SELECT oid FROM o) AND p.defaclnamespace = 0 AND p.defaclobjtype = d.kind::"char"
                      AND a.grantee = (SELECT oid FROM r) AND a.privilege_type = d.privilege)
  UNION ALL
  SELECT false, CASE relkind WHEN 'S' THEN 'sequence ' ELSE 'table ' END || name, 'the read-only role may not read it',
    format('GRANT SELECT ON %s %s TO %I', CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, name, $2)
  FROM owned WHERE NOT CASE relkind WHEN 'S' THEN has_sequence_privilege((SELECT oid FROM r), oid, 'SELECT')
                                    ELSE has_table_privilege((SELECT oid FROM r), oid, 'SELECT') END
  UNION ALL
  SELECT false, 'table leasehold.migrations', 'the read-only role may not read it',
    format('GRANT USAGE ON SCHEMA leasehold TO %1$I; GRANT SELECT ON TABLE leasehold.migrations TO %1$I', $2)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, r
  WHERE n.nspname = 'leasehold' AND c.relname = 'migrations'
    AND NOT (has_schema_privilege(r.oid, n.oid, 'USAGE') AND has_table_privilege(r.oid, c.oid, 'SELECT'))
  UNION ALL
  SELECT true, 'table ' || name, 'the read-only role may write to it',
    format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON TABLE %s FROM PUBLIC, %I', name, $2)
  FROM owned WHERE relkind <> 'S' AND has_table_privilege((SELECT oid FROM r), oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
) AS f (widened, object, message, remedy)
WHERE EXISTS (SELECT FROM o) AND EXISTS (SELECT FROM r)
ORDER BY widened DESC, object LIMIT $3)sql";

}  // namespace

absl::StatusOr<std::vector<InsideFault>> InspectInside(postgres::Connection& inside, const std::string& owner,
                                                       const std::string& reader, int limit) {
  std::vector<InsideFault> faults;
  const absl::Status read = inside.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    faults.clear();
    LH_ASSIGN_OR_RETURN(const pqxx::result rows, tx.Exec(kFaults, {owner, reader, std::format("{}", limit)}));
    for (const pqxx::row& row : rows) {
      faults.push_back({.widened = row[0].as<bool>(),
                        .object = row[1].as<std::string>(),
                        .message = row[2].as<std::string>(),
                        .remedy = row[3].as<std::string>()});
    }
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(read);
  return faults;
}

absl::Status RepairInside(postgres::Connection& inside, const std::vector<InsideFault>& faults) {
  for (const InsideFault& fault : faults) {
    const absl::Status repaired = inside.ExecAlone(fault.remedy).status();
    if (postgres::IsConnectionFailure(repaired)) return repaired;
  }
  return absl::OkStatus();
}

}  // namespace leasehold::provisioner
