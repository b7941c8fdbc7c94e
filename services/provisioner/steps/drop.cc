#include "services/provisioner/steps/drop.h"

#include <format>
#include <utility>

#include "absl/strings/cord.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "services/provisioner/steps/observe.h"

namespace leasehold::provisioner {
namespace {

using postgres::QuoteIdentifier;

constexpr std::string_view kStillInUse = "55006";
constexpr std::string_view kIsTemplate = "42809";
constexpr int kRounds = 3;

// At most 25 bytes, and no tenant's: those begin with "tenant_".
std::string AsideName(std::string_view oid) { return std::format("leasehold_drop_{}", oid); }

constexpr std::string_view kMarked =
    "SELECT d.oid::text FROM pg_database d WHERE d.datname = $1 AND $2 IN (shobj_description(d.oid, 'pg_database'), "
    "shobj_description(d.datdba, 'pg_authid'))";

// Autovacuum gives way by itself, and only a superuser may end it.
constexpr std::string_view kEndSessions =
    "SELECT pg_terminate_backend(a.pid, 5000) FROM pg_stat_activity a JOIN pg_database d ON d.oid = a.datid "
    "WHERE d.datname = $1 AND $2 IN (shobj_description(d.oid, 'pg_database'), shobj_description(d.datdba, "
    "'pg_authid')) "
    "AND a.backend_type IN ('client backend', 'walsender')";

// The range lets PostgreSQL look into the index, rather than at each database.
constexpr std::string_view kAside =
    "SELECT d.datname FROM pg_database d, "
    "LATERAL (VALUES (shobj_description(d.oid, 'pg_database')), (shobj_description(d.datdba, 'pg_authid'))) AS m "
    "(mark) "
    "WHERE d.datname BETWEEN 'leasehold_drop_0' AND 'leasehold_drop_:' AND d.datname = 'leasehold_drop_' || d.oid "
    "AND pg_has_role(d.datdba, 'USAGE') "
    "AND CASE WHEN $1::text IS NULL THEN starts_with(m.mark, $2) ELSE m.mark = $1 END GROUP BY d.datname";

}  // namespace

absl::Status RenameAside(postgres::Transaction& tx, const std::string& name, std::string_view mark) {
  LH_ASSIGN_OR_RETURN(const pqxx::result marked, tx.Exec(kMarked, {name, std::string(mark)}));
  if (marked.empty()) return absl::OkStatus();
  const std::string oid = marked[0][0].as<std::string>();
  const std::string aside = AsideName(oid);
  LH_RETURN_IF_ERROR(
      tx.Exec(std::format("ALTER DATABASE {} RENAME TO {}", QuoteIdentifier(name), QuoteIdentifier(aside))).status());
  // The rename went by name, and keeps its lock from here on: was it the one that bears the mark?
  LH_ASSIGN_OR_RETURN(const pqxx::result renamed,
                      tx.Exec("SELECT FROM pg_database WHERE datname = $1 AND oid = $2::oid", {aside, oid}));
  if (!renamed.empty()) return absl::OkStatus();
  return Error(v1::REASON_NAME_TAKEN, std::format("database {} became another one while it was to be dropped", name));
}

absl::Status SetAside(postgres::Connection& central, const std::string& name, std::string_view mark,
                      const std::function<absl::Status(postgres::Transaction&)>& allowed) {
  absl::Status status;
  for (int round = 0; round < kRounds; ++round) {
    LH_RETURN_IF_ERROR(central.ExecAlone(kEndSessions, {name, std::string(mark)}).status());
    status = central.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
      LH_RETURN_IF_ERROR(allowed(tx));
      return RenameAside(tx, name, mark);
    });
    if (postgres::SqlStateOf(status) != kStillInUse) break;
  }
  return NamingPrepared(central, name, status);
}

absl::Status NamingPrepared(postgres::Connection& central, const std::string& name, const absl::Status& status) {
  if (postgres::SqlStateOf(status) != kStillInUse) return status;
  LH_ASSIGN_OR_RETURN(const pqxx::result prepared,
                      central.ExecAlone("SELECT FROM pg_prepared_xacts WHERE database = $1 LIMIT 1", {name}));
  if (prepared.empty()) return status;
  absl::Status named(status.code(), std::format("{} (a prepared transaction)", StdView(status.message())));
  status.ForEachPayload([&named](absl::string_view url, const absl::Cord& payload) { named.SetPayload(url, payload); });
  return named;
}

absl::Status DropDatabase(postgres::Connection& central, const std::string& name) {
  const std::string quoted = QuoteIdentifier(name);
  const std::string drop = std::format("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted);
  const absl::Status dropped = central.ExecAlone(drop).status();
  if (postgres::SqlStateOf(dropped) != kIsTemplate) return dropped;
  LH_RETURN_IF_ERROR(central.ExecAlone(std::format("ALTER DATABASE {} IS_TEMPLATE false", quoted)).status());
  return central.ExecAlone(drop).status();
}

absl::Status DropSetAside(postgres::Connection& central, std::optional<std::string> mark) {
  LH_ASSIGN_OR_RETURN(const pqxx::result aside, central.ExecAlone(kAside, {std::move(mark), MarkOf("")}));
  for (const pqxx::row& row : aside) {
    LH_RETURN_IF_ERROR(DropDatabase(central, row[0].as<std::string>()));
  }
  return absl::OkStatus();
}

}  // namespace leasehold::provisioner
