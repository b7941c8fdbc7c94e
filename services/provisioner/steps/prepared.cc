#include "services/provisioner/steps/prepared.h"

#include <format>

#include "common/status/error.h"
#include "common/telemetry/log.h"

namespace leasehold::provisioner {
namespace {

using postgres::QuoteIdentifier;
using postgres::QuoteLiteral;

constexpr std::string_view kPrepared =
    "SELECT p.gid, coalesce(p.owner, ''), coalesce(pg_has_role(p.owner, 'SET'), false), pg_get_userbyid(d.datdba) "
    "FROM pg_prepared_xacts p JOIN pg_database d ON d.datname = p.database WHERE d.datname = $1 "
    "AND $2 IN (shobj_description(d.oid, 'pg_database'), shobj_description(d.datdba, 'pg_authid'))";
constexpr std::string_view kNoSuchObject = "42704";

absl::Status OpenToLogin(postgres::Connection& central, const std::string& name, const std::string& owner) {
  const std::string database = QuoteIdentifier(name);
  LH_RETURN_IF_ERROR(
      central.ExecAlone(std::format("ALTER DATABASE {} ALLOW_CONNECTIONS true CONNECTION LIMIT -1", database))
          .status());
  return central.ExecAlone(std::format("GRANT CONNECT ON DATABASE {} TO {}", database, QuoteIdentifier(owner)))
      .status();
}

absl::Status RollBack(postgres::Connection& inside, const std::string& gid, const std::string& owner) {
  LH_RETURN_IF_ERROR(inside.ExecAlone(std::format("SET ROLE {}", QuoteIdentifier(owner))).status());
  const absl::Status done = inside.ExecAlone(std::format("ROLLBACK PREPARED {}", QuoteLiteral(gid))).status();
  // Somebody else has ended it.
  return postgres::SqlStateOf(done) == kNoSuchObject ? absl::OkStatus() : done;
}

}  // namespace

absl::Status RollBackPrepared(const Instance& instance, postgres::Connection& central, const std::string& name,
                              std::string_view mark) {
  LH_ASSIGN_OR_RETURN(const pqxx::result prepared, central.ExecAlone(kPrepared, {name, std::string(mark)}));
  if (prepared.empty()) return absl::OkStatus();
  // Only from within their database may they be ended.
  postgres::Connection inside(instance.AsLogin(name));
  // Opened only if it has to be: one of them may have the database's own row locked.
  if (!inside.Connect().ok()) LH_RETURN_IF_ERROR(OpenToLogin(central, name, prepared[0][3].as<std::string>()));
  for (const pqxx::row& row : prepared) {
    const std::string owner = row[1].as<std::string>();
    if (!row[2].as<bool>()) {
      return Error(
          v1::REASON_INSUFFICIENT_PRIVILEGE,
          std::format("role {} has left a prepared transaction in database {}: end it there (pg_prepared_xacts)",
                      Printable(owner), name));
    }
    Log(Level::kWarning, "a prepared transaction is rolled back: its database is to go",
        {{"database", name}, {"role", Printable(owner)}});
    LH_RETURN_IF_ERROR(RollBack(inside, row[0].as<std::string>(), owner));
  }
  return absl::OkStatus();
}

}  // namespace leasehold::provisioner
