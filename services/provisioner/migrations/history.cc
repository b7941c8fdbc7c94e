#include "services/provisioner/migrations/history.h"

#include <algorithm>
#include <array>
#include <format>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "common/status/error.h"
#include "services/provisioner/migrations/concurrent.h"

namespace leasehold::provisioner {
namespace {

using postgres::QuoteIdentifier;
using postgres::QuoteLiteral;

// Also a part of the comment on the schema: another text there means that PrepareHistory() has something to do.
constexpr std::string_view kLayout = "leasehold history 2";

constexpr std::string_view kTables =
    "CREATE TABLE IF NOT EXISTS leasehold.migrations (version int PRIMARY KEY, name text NOT NULL, "
    "checksum text NOT NULL, applied_at timestamptz, transaction xid8);"
    "ALTER TABLE leasehold.migrations ALTER COLUMN transaction DROP NOT NULL, "
    "ADD COLUMN IF NOT EXISTS run text NOT NULL DEFAULT '', "
    "ADD COLUMN IF NOT EXISTS done int NOT NULL DEFAULT 0, "
    "ADD COLUMN IF NOT EXISTS begun int NOT NULL DEFAULT 0;"
    "CREATE TABLE IF NOT EXISTS leasehold.keeper (secret bytea NOT NULL)";

// An older Leasehold wrote a record before the owner's transaction was committed, with its id.
constexpr std::string_view kSettle =
    "UPDATE leasehold.migrations SET applied_at = now() WHERE applied_at IS NULL AND transaction IS NOT NULL "
    "AND pg_xact_status(transaction) = 'committed';"
    "DELETE FROM leasehold.migrations WHERE applied_at IS NULL AND transaction IS NOT NULL "
    "AND pg_xact_status(transaction) = 'aborted'";

// What a token must be for the arguments $1 to $N−1 given as {0}, $N being the token.
constexpr std::string_view kAllowed =
    "SELECT FROM leasehold.keeper WHERE {1} = encode(sha256(secret || sha256(convert_to("
    "concat_ws('|', pg_current_xact_id()::text, {0}), 'UTF8'))), 'hex')";

constexpr std::string_view kColumns =
    "version, name, checksum, applied_at IS NOT NULL, run, done, begun, applied_at IS NULL AND transaction IS NOT NULL";

struct Function {
  std::string_view signature;
  std::string body;
};

std::vector<Function> Functions() {
  return {
      {"migration_history() RETURNS TABLE (version int, name text, checksum text, applied boolean, run text, done int, "
       "begun int, unknown boolean)",
       std::format("SELECT {} FROM leasehold.migrations", kColumns)},
      {"record_migration(int, text, text, text, text) RETURNS boolean",
       std::format("WITH written AS (INSERT INTO leasehold.migrations (version, name, checksum, run, applied_at, "
                   "transaction) SELECT $1, $2, $3, $4, now(), pg_current_xact_id() WHERE EXISTS ({}) RETURNING 1) "
                   "SELECT EXISTS (SELECT FROM written)",
                   std::format(kAllowed, "$1, $2, $3, $4", "$5"))},
      // $5 done, $6 begun, $7 whether that is all
      {"note_migration(int, text, text, text, int, int, boolean, text) RETURNS boolean",
       std::format(
           "WITH written AS (INSERT INTO leasehold.migrations AS m (version, name, checksum, run, done, begun, "
           "applied_at) SELECT $1, $2, $3, $4, $5, $6, CASE WHEN $7 THEN now() END WHERE EXISTS ({}) "
           "ON CONFLICT (version) DO UPDATE SET name = excluded.name, checksum = excluded.checksum, run = "
           "excluded.run, "
           "done = excluded.done, begun = excluded.begun, applied_at = excluded.applied_at WHERE m.applied_at IS NULL "
           "RETURNING 1) SELECT EXISTS (SELECT FROM written)",
           std::format(kAllowed, "$1, $2, $3, $4, $5, $6, $7", "$8"))},
      {"undo_migration(int, text) RETURNS boolean",
       std::format("WITH written AS (DELETE FROM leasehold.migrations WHERE version = $1 AND EXISTS ({}) RETURNING 1) "
                   "SELECT EXISTS (SELECT FROM written)",
                   std::format(kAllowed, "$1", "$2"))},
  };
}

std::string NameAndTypes(std::string_view signature) {
  return std::string(signature.substr(0, signature.find(" RETURNS")));
}

absl::Status MakeFunctions(postgres::Transaction& tx) {
  for (const Function& function : Functions()) {
    const std::string name = NameAndTypes(function.signature);
    LH_RETURN_IF_ERROR(tx.Exec(std::format("CREATE OR REPLACE FUNCTION leasehold.{} LANGUAGE sql SECURITY DEFINER "
                                           "SET search_path = pg_catalog, pg_temp AS {};"
                                           "REVOKE ALL ON FUNCTION leasehold.{} FROM PUBLIC",
                                           function.signature, QuoteLiteral(function.body), name))
                           .status());
  }
  return absl::OkStatus();
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
  std::string sql = std::format("GRANT USAGE ON SCHEMA leasehold TO {}", role);
  for (const Function& function : Functions()) {
    sql += std::format("; GRANT EXECUTE ON FUNCTION leasehold.{} TO {}", NameAndTypes(function.signature), role);
  }
  return tx.Exec(sql).status();
}

std::string Digest(std::string_view text) {
  const auto digest = Sha256(text);
  return std::string(reinterpret_cast<const char*>(digest.data()), digest.size());
}

History HistoryOf(const pqxx::result& rows) {
  History history;
  for (const auto& row : rows) {
    history[row[0].as<int>()] = {.name = row[1].as<std::string>(),
                                 .checksum = row[2].as<std::string>(),
                                 .applied = row[3].as<bool>(),
                                 .run = row[4].as<std::string>(),
                                 .done = row[5].as<int>(),
                                 .begun = row[6].as<int>(),
                                 .unknown = row[7].as<bool>()};
  }
  return history;
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
  LH_ASSIGN_OR_RETURN(const pqxx::result known,
                      tx.Exec("SELECT coalesce(obj_description(to_regnamespace('leasehold'), 'pg_namespace'), '')"));
  if (known[0][0].as<std::string>() != kLayout) LH_RETURN_IF_ERROR(MakeLayout(tx));
  LH_RETURN_IF_ERROR(tx.Exec(kSettle).status());
  LH_RETURN_IF_ERROR(GrantTo(tx, owner));
  return tx
      .Exec("WITH others AS (DELETE FROM leasehold.keeper) INSERT INTO leasehold.keeper VALUES (decode($1, 'hex'))",
            {Hex(secret.reveal())})
      .status();
}

bool IsUnprepared(const absl::Status& status) {
  if (ReasonOf(status) == v1::REASON_INSUFFICIENT_PRIVILEGE) return true;
  const std::string_view sqlstate = postgres::SqlStateOf(status);
  return sqlstate == "42883" || sqlstate == "42501" || sqlstate == "3F000";
}

absl::StatusOr<History> ReadHistory(postgres::Connection& owner) {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, owner.ExecAlone("SELECT * FROM leasehold.migration_history()"));
  return HistoryOf(rows);
}

absl::StatusOr<History> ReadHistoryAsKeeper(postgres::Connection& keeper) {
  LH_ASSIGN_OR_RETURN(const pqxx::result known,
                      keeper.ExecAlone("SELECT to_regclass('leasehold.migrations') IS NOT NULL"));
  if (!known[0][0].as<bool>()) return History();
  LH_ASSIGN_OR_RETURN(const pqxx::result rows,
                      keeper.ExecAlone(std::format("SELECT {} FROM leasehold.migrations", kColumns)));
  return HistoryOf(rows);
}

std::string DigestOf(const History& history) {
  std::string text;
  for (const auto& [version, row] : history) {
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

absl::Status HistoryWriter::Call(std::string_view function, std::vector<std::string> arguments) {
  LH_ASSIGN_OR_RETURN(const pqxx::result id, tx_.Exec("SELECT pg_catalog.pg_current_xact_id()::text"));
  const std::string text = std::format("{}|{}", id[0][0].as<std::string>(), absl::StrJoin(arguments, "|"));
  arguments.push_back(Hex(Digest(std::format("{}{}", secret_.reveal(), Digest(text)))));
  std::vector<postgres::Param> params;
  std::string places;
  for (std::string& argument : arguments) {
    params.emplace_back(std::move(argument));
    places += std::format("{}${}", places.empty() ? "" : ", ", params.size());
  }
  LH_ASSIGN_OR_RETURN(const pqxx::result written,
                      tx_.Exec(std::format("SELECT leasehold.{}({})", function, places), params));
  if (written[0][0].as<bool>()) return absl::OkStatus();
  return Error(v1::REASON_INSUFFICIENT_PRIVILEGE, "the history of migrations cannot be written with this role key");
}

absl::Status HistoryWriter::Applied(const Migration& file, std::string_view run) {
  return Call("record_migration", {std::format("{}", file.version), file.name, file.checksum, std::string(run)});
}

absl::Status HistoryWriter::Noted(const Migration& file, std::string_view run, int done, int begun) {
  const bool all = static_cast<size_t>(done) == file.statements.size();
  return Call("note_migration", {std::format("{}", file.version), file.name, file.checksum, std::string(run),
                                 std::format("{}", done), std::format("{}", begun), all ? "t" : "f"});
}

absl::Status HistoryWriter::Undone(int version) { return Call("undo_migration", {std::format("{}", version)}); }

}  // namespace leasehold::provisioner
