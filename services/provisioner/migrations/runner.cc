#include "services/provisioner/migrations/runner.h"

#include <algorithm>
#include <array>
#include <format>
#include <map>
#include <string>
#include <string_view>

#include "common/status/error.h"
#include "common/status/view.h"
#include "common/telemetry/log.h"
#include "services/provisioner/migrations/server_message.h"

namespace leasehold::provisioner {
namespace {

// Session-level, so that it outlives the transactions of one run. "lhmg".
constexpr std::string_view kLock = "SELECT pg_advisory_lock(1818783079)";
constexpr std::string_view kUnlock = "SELECT pg_advisory_unlock(1818783079)";

struct Applied {
  std::string name;
  std::string checksum;
};
using History = std::map<int, Applied>;

absl::Status Failed(std::string_view file, std::string_view what) {
  return Error(v1::REASON_MIGRATION_FAILED, std::format("migration {} {}", file, what));
}

// Decides what became of a file whose record was written but never confirmed.
absl::Status SettleBegun(postgres::Transaction& tx) {
  LH_ASSIGN_OR_RETURN(const pqxx::result begun,
                      tx.Exec("SELECT version, name, coalesce(pg_xact_status(transaction), 'forgotten') "
                              "FROM leasehold.migrations WHERE applied_at IS NULL ORDER BY version"));
  for (const auto& row : begun) {
    const std::string version = row[0].as<std::string>();
    const std::string name = row[1].as<std::string>();
    const std::string outcome = row[2].as<std::string>();
    if (outcome == "committed") {
      LH_RETURN_IF_ERROR(
          tx.Exec("UPDATE leasehold.migrations SET applied_at = now() WHERE version = $1", {version}).status());
    } else if (outcome == "aborted") {
      LH_RETURN_IF_ERROR(tx.Exec("DELETE FROM leasehold.migrations WHERE version = $1", {version}).status());
    } else if (outcome == "in progress") {
      return WithRetryAfter(Failed(name, "is still running on a session of an earlier attempt"), absl::Seconds(1));
    } else {
      return Failed(name, "was interrupted so long ago that PostgreSQL no longer knows how it ended");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<History> ReadHistory(postgres::Connection& keeper) {
  History history;
  const absl::Status read = keeper.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(SettleBegun(tx));
    LH_ASSIGN_OR_RETURN(const pqxx::result rows, tx.Exec("SELECT version, name, checksum FROM leasehold.migrations"));
    for (const auto& row : rows) {
      history[row[0].as<int>()] = {.name = row[1].as<std::string>(), .checksum = row[2].as<std::string>()};
    }
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(read);
  return history;
}

absl::Status CheckHistory(const History& history, const Migrations& migrations) {
  for (const auto& [version, applied] : history) {
    const auto file = std::ranges::find(migrations, version, &Migration::version);
    if (file == migrations.end()) return Failed(applied.name, "was applied here and is missing from the folder");
    if (file->name != applied.name) {
      return Failed(file->name, std::format("was applied here under the name {}", applied.name));
    }
    if (file->checksum != applied.checksum) return Failed(file->name, "was edited after it had been applied here");
  }
  const int newest = history.empty() ? 0 : history.rbegin()->first;
  for (const Migration& file : migrations) {
    if (file.version < newest && !history.contains(file.version)) {
      return Failed(file.name, std::format("came after {} had been applied here", history.rbegin()->second.name));
    }
  }
  return absl::OkStatus();
}

absl::Status ExplainStatement(const Migration& file, size_t index, const absl::Status& status) {
  if (postgres::IsConnectionFailure(status)) return status;
  // Errors are terse: the message alone, neither statement nor row.
  Log(Level::kWarning, "migration statement failed", {{"file", file.name}, {"error", StdView(status.message())}});
  const int line = file.statements[index].line + LineOf(status, file.statements[index].text) - 1;
  const std::string_view sqlstate = postgres::SqlStateOf(status);
  return Failed(file.name, std::format("failed at line {}, statement {} (SQLSTATE {})", line, index + 1,
                                       sqlstate.empty() ? "unknown" : sqlstate));
}

absl::Status RunFile(postgres::Transaction& tx, const Migration& file) {
  LH_RETURN_IF_ERROR(tx.Exec("SET LOCAL search_path = \"$user\", public").status());
  for (size_t i = 0; i < file.statements.size(); ++i) {
    const absl::Status status = tx.Exec(file.statements[i].text).status();
    if (!status.ok()) return ExplainStatement(file, i, status);
  }
  return absl::OkStatus();
}

absl::Status Apply(MigrationConnections connections, const Migration& file) {
  bool begun = false;
  const absl::Status status = connections.owner.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(const pqxx::result id, tx.Exec("SELECT pg_catalog.pg_current_xact_id()::text"));
    LH_RETURN_IF_ERROR(RunFile(tx, file));
    const std::array<postgres::Param, 4> record{std::to_string(file.version), file.name, file.checksum,
                                                id[0][0].as<std::string>()};
    const absl::Status recorded = connections.keeper.InTransaction([&](postgres::Transaction& keeping) {
      return keeping
          .Exec("INSERT INTO leasehold.migrations (version, name, checksum, transaction) VALUES ($1, $2, $3, $4::xid8)",
                record)
          .status();
    });
    LH_RETURN_IF_ERROR(recorded);
    begun = true;
    return absl::OkStatus();
  });
  // After a failure the record, if there is one, stays until the next run has settled what became of the commit.
  if (!status.ok()) {
    if (begun && !postgres::IsConnectionFailure(status)) {
      return ExplainStatement(file, file.statements.size() - 1, status);
    }
    return status;
  }
  return connections.keeper.InTransaction([&](postgres::Transaction& tx) {
    return tx
        .Exec("UPDATE leasehold.migrations SET applied_at = now() WHERE version = $1",
              {std::format("{}", file.version)})
        .status();
  });
}

absl::Status ApplyMissing(MigrationConnections connections, const Migrations& migrations,
                          const std::function<absl::Status()>& go_on) {
  LH_ASSIGN_OR_RETURN(const History history, ReadHistory(connections.keeper));
  LH_RETURN_IF_ERROR(CheckHistory(history, migrations));
  for (const Migration& file : migrations) {
    if (history.contains(file.version)) continue;
    LH_RETURN_IF_ERROR(go_on());
    LH_RETURN_IF_ERROR(Apply(connections, file));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status PrepareHistory(postgres::Connection& keeper) {
  return keeper.InTransaction([](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(const pqxx::result known, tx.Exec("SELECT to_regclass('leasehold.migrations') IS NOT NULL"));
    if (known[0][0].as<bool>()) return absl::OkStatus();
    LH_RETURN_IF_ERROR(tx.Exec("CREATE SCHEMA IF NOT EXISTS leasehold").status());
    LH_RETURN_IF_ERROR(tx.Exec("REVOKE ALL ON SCHEMA leasehold FROM PUBLIC").status());
    return tx
        .Exec(
            "CREATE TABLE leasehold.migrations ("
            "version int PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at timestamptz, "
            "transaction xid8 NOT NULL)")
        .status();
  });
}

absl::StatusOr<int> Migrate(MigrationConnections connections, const Migrations& migrations,
                            const std::function<absl::Status()>& go_on) {
  LH_RETURN_IF_ERROR(connections.keeper.ExecAlone(kLock).status());
  const absl::Status status = ApplyMissing(connections, migrations, go_on);
  if (!status.ok() && postgres::IsConnectionFailure(status)) return status;
  LH_RETURN_IF_ERROR(connections.keeper.ExecAlone(kUnlock).status());
  LH_RETURN_IF_ERROR(status);
  return NewestVersion(migrations);
}

}  // namespace leasehold::provisioner
