#include "services/provisioner/migrations/history.h"

#include <algorithm>
#include <array>
#include <format>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "common/status/error.h"
#include "services/provisioner/migrations/concurrent.h"

namespace leasehold::provisioner {
namespace {

using postgres::QuoteIdentifier;
using postgres::QuoteLiteral;

// Also a part of the comment on the schema: another text there means that PrepareHistory() has something to do.
constexpr std::string_view kLayout = "leasehold history 4";

constexpr std::string_view kLayoutQuery =
    "SELECT coalesce(obj_description(to_regnamespace('leasehold'), 'pg_namespace'), '')";

// The secret is in a materialized view, which takes it from the setting of that name when it is refreshed: pg_dump by a
// tenant's role locks and copies every table, and would fail at one that it may not read.
constexpr std::string_view kTables =
    "CREATE TABLE IF NOT EXISTS leasehold.migrations (version int PRIMARY KEY, name text NOT NULL, "
    "checksum text NOT NULL, applied_at timestamptz, transaction xid8);"
    "ALTER TABLE leasehold.migrations ALTER COLUMN transaction DROP NOT NULL, "
    "ADD COLUMN IF NOT EXISTS run text NOT NULL DEFAULT '', "
    "ADD COLUMN IF NOT EXISTS done int NOT NULL DEFAULT 0, "
    "ADD COLUMN IF NOT EXISTS begun int NOT NULL DEFAULT 0;"
    // The table that held the secret; what depends on it is made anew.
    "DROP TABLE IF EXISTS leasehold.keeper CASCADE;"
    "CREATE MATERIALIZED VIEW IF NOT EXISTS leasehold.history_secret AS "
    "SELECT pg_catalog.decode(pg_catalog.current_setting('leasehold.history_secret', true), 'hex') AS secret";

// An older Leasehold wrote a record before the owner's transaction was committed, with its id.
constexpr std::string_view kSettle =
    "UPDATE leasehold.migrations SET applied_at = now() WHERE applied_at IS NULL AND transaction IS NOT NULL "
    "AND pg_xact_status(transaction) = 'committed';"
    "DELETE FROM leasehold.migrations WHERE applied_at IS NULL AND transaction IS NOT NULL "
    "AND pg_xact_status(transaction) = 'aborted'";

// What a token must be for the arguments $1 to $N−1 given as {}.
constexpr std::string_view kToken =
    "encode(sha256(secret || sha256(convert_to(concat_ws('|', pg_current_xact_id()::text, {}), 'UTF8'))), 'hex')";

constexpr std::string_view kHistory =
    "SELECT version, name, checksum, applied_at IS NOT NULL, run, done, begun, applied_at IS NULL AND transaction IS "
    "NOT NULL FROM leasehold.migrations";

struct Function {
  std::string_view signature;
  std::string body;
};

std::string Allowed(std::string_view arguments, std::string_view token) {
  return std::format("SELECT FROM leasehold.history_secret WHERE {} = {}", token,
                     std::vformat(kToken, std::make_format_args(arguments)));
}

// In a session that has just begun, finding and planning what they use is nearly all that these cost. The one that each
// migration calls is therefore kept parsed, and as plain as can be: with another token the name is NULL, which the
// table refuses.
std::vector<Function> Functions() {
  constexpr std::string_view kRecorded = "$1, $2, $3, $4";
  return {
      {"record_applied(int, text, text, text, text) RETURNS void",
       std::format(
           "BEGIN ATOMIC INSERT INTO leasehold.migrations (version, name, checksum, run, applied_at, "
           "transaction) VALUES ($1, CASE WHEN $5 = (SELECT {} FROM leasehold.history_secret) THEN $2 END, $3, $4, "
           "now(), pg_current_xact_id()); END",
           std::vformat(kToken, std::make_format_args(kRecorded)))},
      // $5 done, $6 begun, $7 whether that is all
      {"note_migration(int, text, text, text, int, int, boolean, text) RETURNS boolean",
       std::format(
           "WITH written AS (INSERT INTO leasehold.migrations AS m (version, name, checksum, run, done, begun, "
           "applied_at) SELECT $1, $2, $3, $4, $5, $6, CASE WHEN $7 THEN now() END WHERE EXISTS ({}) "
           "ON CONFLICT (version) DO UPDATE SET name = excluded.name, checksum = excluded.checksum, run = "
           "excluded.run, "
           "done = excluded.done, begun = excluded.begun, applied_at = excluded.applied_at WHERE m.applied_at IS NULL "
           "RETURNING 1) SELECT EXISTS (SELECT FROM written)",
           Allowed("$1, $2, $3, $4, $5, $6, $7", "$8"))},
      {"undo_migration(int, text) RETURNS boolean",
       std::format("WITH written AS (DELETE FROM leasehold.migrations WHERE version = $1 AND EXISTS ({}) RETURNING 1) "
                   "SELECT EXISTS (SELECT FROM written)",
                   Allowed("$1", "$2"))},
  };
}

std::string NameAndTypes(std::string_view signature) {
  return std::string(signature.substr(0, signature.find(" RETURNS")));
}

// A body that is kept parsed means what it did when it was made; the other kind is read at each call.
std::string AsBody(const std::string& body) {
  return body.starts_with("BEGIN ATOMIC")
             ? body
             : std::format("SET search_path = pg_catalog, pg_temp AS {}", QuoteLiteral(body));
}

absl::Status MakeFunctions(postgres::Transaction& tx) {
  // So that nothing of a tenant's own gets into a body.
  LH_RETURN_IF_ERROR(tx.Exec("SET LOCAL search_path = pg_catalog, pg_temp").status());
  for (const Function& function : Functions()) {
    const std::string name = NameAndTypes(function.signature);
    LH_RETURN_IF_ERROR(tx.Exec(std::format("CREATE OR REPLACE FUNCTION leasehold.{} LANGUAGE sql SECURITY DEFINER {};"
                                           "REVOKE ALL ON FUNCTION leasehold.{} FROM PUBLIC",
                                           function.signature, AsBody(function.body), name))
                           .status());
  }
  return tx.Exec("SET LOCAL search_path TO DEFAULT").status();
}

absl::Status MakeLayout(postgres::Transaction& tx) {
  LH_RETURN_IF_ERROR(tx.Exec("CREATE SCHEMA IF NOT EXISTS leasehold;"
                             "REVOKE ALL ON SCHEMA leasehold FROM PUBLIC")
                         .status());
  LH_RETURN_IF_ERROR(tx.Exec(kTables).status());
  LH_RETURN_IF_ERROR(MakeFunctions(tx));
  return tx.Exec(std::format("COMMENT ON SCHEMA leasehold IS {}", QuoteLiteral(kLayout))).status();
}

absl::Status GrantTo(postgres::Transaction& tx, std::string_view owner) {
  const std::string role = QuoteIdentifier(owner);
  std::string sql =
      std::format("GRANT USAGE ON SCHEMA leasehold TO {0}; GRANT SELECT ON leasehold.migrations TO {0}", role);
  for (const Function& function : Functions()) {
    sql += std::format("; GRANT EXECUTE ON FUNCTION leasehold.{} TO {}", NameAndTypes(function.signature), role);
  }
  return tx.Exec(sql).status();
}

std::string Digest(std::string_view text) {
  const auto digest = Sha256(text);
  return std::string(reinterpret_cast<const char*>(digest.data()), digest.size());
}

int NumberIn(const std::optional<std::string>& field) {
  int number = 0;
  return field.has_value() && absl::SimpleAtoi(*field, &number) ? number : 0;
}

std::vector<std::string> RecordOf(const Migration& file, std::string_view run) {
  return {std::format("{}", file.version), file.name, file.checksum, std::string(run)};
}

std::string TokenOf(const Secret& secret, std::string_view transaction, std::span<const std::string> arguments) {
  const std::string text = std::format("{}|{}", transaction, absl::StrJoin(arguments, "|"));
  return Hex(Digest(std::format("{}{}", secret.reveal(), Digest(text))));
}

absl::Status WrongKey() {
  return Error(v1::REASON_INSUFFICIENT_PRIVILEGE, "the history of migrations cannot be written with this role key");
}

// Of a file of which a part has run: whether the rest can be run.
std::string InterruptedAt(const HistoryRow& row, const Migration& file) {
  if (row.begun == 0 || static_cast<size_t>(row.begun) > file.statements.size()) return "";
  const AloneStatement statement = ReadAloneStatement(file.statements[row.begun - 1].text);
  if (statement.kind != AloneStatement::Kind::kOther) return "";
  return std::format("was interrupted in statement {}, and nobody can tell whether that has happened", row.begun);
}

}  // namespace

absl::Status PrepareHistory(postgres::Connection& keeper, std::string_view owner, const Secret& secret) {
  return keeper.InTransaction([&](postgres::Transaction& tx) { return PrepareHistory(tx, owner, secret); });
}

absl::Status PrepareHistory(postgres::Transaction& tx, std::string_view owner, const Secret& secret) {
  const std::string hex = Hex(secret.reveal());
  LH_RETURN_IF_ERROR(tx.Exec("SELECT set_config('leasehold.history_secret', $1, true)", {hex}).status());
  LH_ASSIGN_OR_RETURN(const pqxx::result known, tx.Exec(kLayoutQuery));
  if (known[0][0].as<std::string>() != kLayout) LH_RETURN_IF_ERROR(MakeLayout(tx));
  LH_RETURN_IF_ERROR(tx.Exec(kSettle).status());
  LH_RETURN_IF_ERROR(GrantTo(tx, owner));
  LH_ASSIGN_OR_RETURN(const pqxx::result holds,
                      tx.Exec("SELECT FROM leasehold.history_secret WHERE secret = decode($1, 'hex')", {hex}));
  if (!holds.empty()) return absl::OkStatus();
  return tx.Exec("REFRESH MATERIALIZED VIEW leasehold.history_secret").status();
}

absl::StatusOr<bool> IsPrepared(postgres::Connection& keeper) {
  LH_ASSIGN_OR_RETURN(const pqxx::result known, keeper.ExecAlone(kLayoutQuery));
  return known[0][0].as<std::string>() == kLayout;
}

bool IsUnprepared(const absl::Status& status) {
  if (ReasonOf(status) == v1::REASON_INSUFFICIENT_PRIVILEGE) return true;
  const std::string_view sqlstate = postgres::SqlStateOf(status);
  // No function, no privilege, no schema, no table, no column.
  constexpr std::string_view kOfAnotherLayout[] = {"42883", "42501", "3F000", "42P01", "42703"};
  return std::ranges::find(kOfAnotherLayout, sqlstate) != std::end(kOfAnotherLayout);
}

std::string_view HistoryQuery() { return kHistory; }

History HistoryOf(const postgres::Together::Rows& rows) {
  History history;
  for (const auto& row : rows) {
    history[NumberIn(row[0])] = {.name = row[1].value_or(""),
                                 .checksum = row[2].value_or(""),
                                 .applied = row[3] == "t",
                                 .run = row[4].value_or(""),
                                 .done = NumberIn(row[5]),
                                 .begun = NumberIn(row[6]),
                                 .unknown = row[7] == "t"};
  }
  return history;
}

absl::StatusOr<History> ReadHistory(postgres::Connection& owner) {
  const postgres::Together read = owner.ExecTogether(std::vector<std::string>{std::string(kHistory)});
  LH_RETURN_IF_ERROR(read.status);
  return HistoryOf(read.rows[0]);
}

absl::StatusOr<History> ReadHistoryAsKeeper(postgres::Connection& keeper) {
  LH_ASSIGN_OR_RETURN(const pqxx::result known,
                      keeper.ExecAlone("SELECT to_regclass('leasehold.migrations') IS NOT NULL"));
  if (!known[0][0].as<bool>()) return History();
  return ReadHistory(keeper);
}

std::string DigestOf(const History& history) {
  std::string text;
  for (const auto& [version, row] : history) {
    if (!row.applied && row.done == 0 && row.begun == 0) continue;  // nothing of it has happened
    text += std::format("{} {} {} {}\n", version, row.name, row.checksum, row.applied ? "" : "partly");
  }
  return Hex(Digest(text).substr(0, 8));
}

std::string DigestOf(const Migrations& migrations, int up_to_version) {
  History history;
  for (const Migration& file : migrations) {
    if (file.version <= up_to_version) history[file.version] = {.name = file.name, .checksum = file.checksum};
  }
  return DigestOf(history);
}

int NewestVersion(const History& history) {
  int newest = 0;
  for (const auto& [version, row] : history) {
    if (row.applied) newest = std::max(newest, version);
  }
  return newest;
}

std::vector<HistoryMismatch> CompareHistory(const History& history, const Migrations& migrations) {
  std::vector<HistoryMismatch> found;
  const int newest = NewestVersion(history);
  for (const auto& [version, row] : history) {
    const auto file = std::ranges::find(migrations, version, &Migration::version);
    const bool untouched = !row.applied && row.done == 0 && row.begun == 0;
    if (row.unknown) {
      found.push_back(
          {Mismatch::kInterrupted, version, row.name, "is still running on a session of an earlier attempt"});
    } else if (untouched) {
      continue;
    } else if (file == migrations.end()) {
      found.push_back({Mismatch::kMissing, version, row.name, "was applied here and is missing from the folder"});
    } else if (file->name != row.name) {
      found.push_back(
          {Mismatch::kRenamed, version, file->name, std::format("was applied here under the name {}", row.name)});
    } else if (file->checksum != row.checksum) {
      found.push_back({Mismatch::kEdited, version, file->name,
                       row.applied ? "was edited after it had been applied here"
                                   : std::format("was edited after {} of its statements had run here", row.done)});
    } else if (std::string interrupted = row.applied ? "" : InterruptedAt(row, *file); !interrupted.empty()) {
      found.push_back({Mismatch::kInterrupted, version, file->name, std::move(interrupted)});
    }
  }
  for (const Migration& file : migrations) {
    if (file.version < newest && !history.contains(file.version)) {
      found.push_back({Mismatch::kLate, file.version, file.name,
                       std::format("came after {} had been applied here", history.at(newest).name)});
    }
  }
  std::ranges::sort(found, {}, &HistoryMismatch::version);
  return found;
}

absl::Status StatusOf(const HistoryMismatch& mismatch) {
  return Error(v1::REASON_MIGRATION_FAILED, std::format("migration {} {}", mismatch.file, mismatch.detail));
}

std::string RecordStatement(const Secret& secret, std::string_view id, const Migration& file, std::string_view run) {
  std::vector<std::string> arguments = RecordOf(file, run);
  arguments.push_back(TokenOf(secret, id, arguments));
  std::string literals;
  for (const std::string& argument : arguments) {
    literals += std::format("{}{}", literals.empty() ? "" : ", ", QuoteLiteral(argument));
  }
  return std::format("SELECT leasehold.record_applied({})", literals);
}

bool IsUnrecorded(const absl::Status& status) {
  return postgres::SqlStateOf(status) == "23502" || IsUnprepared(status);
}

absl::StatusOr<std::string> HistoryWriter::TransactionId() {
  LH_ASSIGN_OR_RETURN(const pqxx::result id, tx_.Exec("SELECT pg_catalog.pg_current_xact_id()::text"));
  return id[0][0].as<std::string>();
}

absl::Status HistoryWriter::Call(std::string_view function, std::vector<std::string> arguments) {
  LH_ASSIGN_OR_RETURN(const std::string id, TransactionId());
  arguments.push_back(TokenOf(secret_, id, arguments));
  std::vector<postgres::Param> params;
  std::string places;
  for (std::string& argument : arguments) {
    params.emplace_back(std::move(argument));
    places += std::format("{}${}", places.empty() ? "" : ", ", params.size());
  }
  LH_ASSIGN_OR_RETURN(const pqxx::result written,
                      tx_.Exec(std::format("SELECT leasehold.{}({})", function, places), params));
  return written[0][0].as<bool>() ? absl::OkStatus() : WrongKey();
}

absl::Status HistoryWriter::Applied(const Migration& file, std::string_view run) {
  LH_ASSIGN_OR_RETURN(const std::string id, TransactionId());
  const absl::Status recorded = tx_.Exec(RecordStatement(secret_, id, file, run)).status();
  return IsUnrecorded(recorded) ? WrongKey() : recorded;
}

absl::Status HistoryWriter::Noted(const Migration& file, std::string_view run, int done, int begun) {
  const bool all = static_cast<size_t>(done) == file.statements.size();
  std::vector<std::string> arguments = RecordOf(file, run);
  arguments.insert(arguments.end(), {std::format("{}", done), std::format("{}", begun), all ? "t" : "f"});
  return Call("note_migration", std::move(arguments));
}

absl::Status HistoryWriter::Undone(int version) { return Call("undo_migration", {std::format("{}", version)}); }

}  // namespace leasehold::provisioner
