#include "services/provisioner/archive/contents.h"

#include <algorithm>
#include <format>
#include <utility>

#include "common/status/error.h"
#include "common/telemetry/log.h"

namespace leasehold::provisioner {
namespace {

using postgres::QuoteIdentifier;

// What PostgreSQL itself made, and what CREATE EXTENSION makes again, is not counted.
//
// With the column that is the least to send, if it has one: of a fixed and small size.
constexpr std::string_view kTables =
    "SELECT n.nspname, c.relname, (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 "
    "AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attlen < 0, a.attlen, a.attnum LIMIT 1) "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind = 'r' AND c.relpersistence IN ('p', 'u') "
    "AND n.nspname NOT IN ('information_schema', 'leasehold') AND NOT starts_with(n.nspname, 'pg_') "
    "AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid "
    "AND d.deptype = 'e') ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";

// A row that nothing has come of yet says nothing. The columns run, done and begun may not be there: an older
// Leasehold's history has `transaction` for the latter two.
constexpr std::string_view kApplied =
    "SELECT version, name, checksum, applied_at IS NULL, coalesce(to_jsonb(m)->>'run', '') "
    "FROM leasehold.migrations m WHERE applied_at IS NOT NULL OR transaction IS NOT NULL OR "
    "(to_jsonb(m)->>'done')::int > 0 OR (to_jsonb(m)->>'begun')::int > 0 "
    "ORDER BY version";

// How many large objects the database's owner may read; and of the others, whose they are, of roles of ours.
constexpr std::string_view kLargeObjects =
    "SELECT count(*) FILTER (WHERE readable), count(*) FILTER (WHERE NOT readable), "
    "string_agg(DISTINCT quote_ident(pg_get_userbyid(lomowner)), ', ') "
    "FILTER (WHERE NOT readable AND pg_has_role(lomowner, 'USAGE')), "
    "quote_ident(pg_get_userbyid(min(datdba::int8)::oid)) "
    "FROM (SELECT lomowner, datdba, lomowner = datdba OR EXISTS (SELECT FROM aclexplode(lomacl) x "
    "WHERE x.grantee IN (0, datdba) AND x.privilege_type = 'SELECT') AS readable "
    "FROM pg_largeobject_metadata, pg_database WHERE datname = current_database()) o";

// Patience with whoever holds a table, in rounds of a second, so that a cancelled copy ends soon.
constexpr int kLockRounds = 30;
constexpr std::string_view kNotLocked = "55P03";
constexpr std::string_view kDenied = "42501";

std::string Quoted(const TableRows& table) {
  return std::format("{}.{}", QuoteIdentifier(table.schema), QuoteIdentifier(table.table));
}

// Not `SELECT count(*)`, which is planned: PostgreSQL then evaluates what indexes and statistics of a table hold of
// constant expressions, and so calls the tenant's functions with the rights of who counts. COPY of a table plans
// nothing, refuses whatever is none (a view that has come in its place), and reads this table alone, as ONLY would.
std::string CopyOf(const TableRows& table, const std::string& column) {
  return std::format("COPY {}{} TO STDOUT", Quoted(table),
                     column.empty() ? "" : std::format(" ({})", QuoteIdentifier(column)));
}

std::string NameOf(const TableRows& table) { return std::format("{}.{}", table.schema, table.table); }

absl::Status NotTheTenants(const TableRows& table) {
  return Error(
      v1::REASON_BACKUP_FAILED,
      std::format("table {} cannot be copied: the tenant's role neither owns it nor may read it; give it to that "
                  "role (ALTER TABLE ... OWNER TO)",
                  NameOf(table)));
}

struct ListedTable {
  TableRows table{};
  std::string column{};  // the one to count by; empty: it has none that can be copied
};

absl::StatusOr<std::vector<ListedTable>> ListTables(postgres::Transaction& tx) {
  LH_ASSIGN_OR_RETURN(const pqxx::result found, tx.Exec(kTables));
  std::vector<ListedTable> tables;
  for (const auto& row : found) {
    ListedTable& next = tables.emplace_back();
    next.table.schema = row[0].as<std::string>();
    next.table.table = row[1].as<std::string>();
    next.column = row[2].is_null() ? "" : row[2].as<std::string>();
  }
  return tables;
}

absl::StatusOr<std::vector<TableRows>> CountRows(postgres::Transaction& tx,
                                                 const std::function<absl::Status()>& go_on) {
  // A policy would hide rows from the count; rather an error, as pg_dump has it.
  LH_RETURN_IF_ERROR(tx.Exec("SET LOCAL row_security = off").status());
  LH_ASSIGN_OR_RETURN(std::vector<ListedTable> listed, ListTables(tx));
  std::vector<TableRows> tables;
  for (ListedTable& next : listed) {
    LH_ASSIGN_OR_RETURN(next.table.rows, tx.CountCopied(go_on, CopyOf(next.table, next.column)));
    tables.push_back(std::move(next.table));
  }
  return tables;
}

// Sets whether large objects can be copied; or else `adopt`, with which they can be the next time.
absl::Status LookAtLargeObjects(postgres::Transaction& tx, Snapshot& snapshot, std::string& adopt) {
  LH_ASSIGN_OR_RETURN(const pqxx::result found, tx.Exec(kLargeObjects));
  const pqxx::row counts = found[0];
  const auto others = counts[1].as<int64_t>();
  if (others == 0) return absl::OkStatus();
  if (counts[0].as<int64_t>() == 0) {
    snapshot.large_objects = false;
    Log(Level::kWarning, "large objects that are not the tenant's are left out of a copy",
        {{"large_objects", std::format("{}", others)}});
  } else if (!counts[2].is_null()) {
    adopt = std::format("REASSIGN OWNED BY {} TO {}", counts[2].as<std::string>(), counts[3].as<std::string>());
    return absl::AbortedError("large objects are of another role than the owner");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Contents> ReadContents(postgres::Transaction& tx, const std::function<absl::Status()>& go_on) {
  Contents contents;
  LH_ASSIGN_OR_RETURN(const pqxx::result known, tx.Exec("SELECT to_regclass('leasehold.migrations') IS NOT NULL"));
  if (known[0][0].as<bool>()) {
    LH_ASSIGN_OR_RETURN(const pqxx::result applied, tx.Exec(kApplied));
    for (const auto& row : applied) {
      if (row[3].as<bool>()) {
        return WithRetryAfter(
            Error(v1::REASON_MIGRATION_FAILED,
                  std::format("migration {} is under way, or was left in part", row[1].as<std::string>())),
            absl::Seconds(1));
      }
      contents.migrations.push_back({.version = row[0].as<int>(),
                                     .name = row[1].as<std::string>(),
                                     .checksum = row[2].as<std::string>(),
                                     .run = row[4].as<std::string>()});
    }
  }
  LH_ASSIGN_OR_RETURN(contents.tables, CountRows(tx, go_on));
  return contents;
}

absl::StatusOr<Contents> CopyWithSnapshot(postgres::Connection& inside, const std::function<absl::Status()>& go_on,
                                          const std::function<absl::Status(const Snapshot& snapshot)>& copy) {
  std::string held;   // the table that another session would not let go of
  std::string adopt;  // the statement that makes large objects the owner's
  for (int round = 0; round < kLockRounds; ++round) {
    LH_RETURN_IF_ERROR(go_on());
    held.clear();
    if (!adopt.empty()) LH_RETURN_IF_ERROR(inside.ExecAlone(std::exchange(adopt, {})).status());
    Contents contents;
    const absl::Status copied = inside.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
      // The owner may have set time limits on the database; they are not meant for this transaction, which waits long.
      LH_RETURN_IF_ERROR(tx.Exec("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;"
                                 "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL transaction_timeout = 0;"
                                 "SET LOCAL idle_session_timeout = 0; SET LOCAL lock_timeout = '1s'")
                             .status());
      LH_ASSIGN_OR_RETURN(const pqxx::result exported, tx.Exec("SELECT pg_export_snapshot()"));
      Snapshot snapshot{.id = exported[0][0].as<std::string>()};
      LH_RETURN_IF_ERROR(LookAtLargeObjects(tx, snapshot, adopt));
      LH_ASSIGN_OR_RETURN(const std::vector<ListedTable> tables, ListTables(tx));
      for (const auto& [table, column] : tables) {
        const absl::Status locked =
            tx.Exec(std::format("LOCK TABLE ONLY {} IN ACCESS SHARE MODE", Quoted(table))).status();
        if (postgres::SqlStateOf(locked) == kNotLocked) held = NameOf(table);
        if (postgres::SqlStateOf(locked) == kDenied) return NotTheTenants(table);
        LH_RETURN_IF_ERROR(locked);
      }
      LH_RETURN_IF_ERROR(go_on());
      LH_RETURN_IF_ERROR(copy(snapshot));
      LH_ASSIGN_OR_RETURN(contents, ReadContents(tx, go_on));
      return absl::OkStatus();
    });
    if (copied.ok()) return contents;
    if (held.empty() && adopt.empty()) return copied;
  }
  return Error(v1::REASON_BACKUP_FAILED, held.empty() ? "other roles than the owner go on making large objects"
                                                      : std::format("table {} is locked by another session", held));
}

absl::Status WriteHistory(postgres::Connection& inside, const Contents& contents) {
  return inside.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    for (const AppliedMigration& applied : contents.migrations) {
      LH_RETURN_IF_ERROR(tx.Exec("INSERT INTO leasehold.migrations (version, name, checksum, applied_at, transaction, "
                                 "run) VALUES ($1, $2, $3, now(), pg_current_xact_id(), $4)",
                                 {std::format("{}", applied.version), applied.name, applied.checksum, applied.run})
                             .status());
    }
    return absl::OkStatus();
  });
}

absl::Status CompareRows(postgres::Connection& inside, const Contents& contents,
                         const std::function<absl::Status()>& go_on, v1::Reason reason) {
  std::vector<TableRows> copied;
  const absl::Status counted = inside.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(copied, CountRows(tx, go_on));
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(counted);
  const auto [meant, got] = std::ranges::mismatch(contents.tables, copied);
  if (meant == contents.tables.end() && got == copied.end()) return absl::OkStatus();
  if (meant == contents.tables.end()) {
    return Error(reason, std::format("the copy has a table {} that the original lacks", NameOf(*got)));
  }
  if (got == copied.end() || NameOf(*got) != NameOf(*meant)) {
    return Error(reason, std::format("the copy lacks table {} of the original", NameOf(*meant)));
  }
  return Error(reason, std::format("table {} has {} rows in the copy and {} in the original", NameOf(*meant), got->rows,
                                   meant->rows));
}

}  // namespace leasehold::provisioner
