#include "services/provisioner/migrations/runner.h"

#include <algorithm>
#include <format>
#include <ranges>
#include <span>
#include <utility>

#include "absl/time/clock.h"
#include "common/failpoint/failpoint.h"
#include "common/status/error.h"
#include "services/provisioner/migrations/alone.h"
#include "services/provisioner/migrations/attempt.h"

namespace leasehold::provisioner {
namespace {

// Of the session, so that it outlives the transactions of one run. "lhmg".
constexpr std::string_view kTryLock = "SELECT pg_catalog.pg_try_advisory_lock(1818783079)";
constexpr std::string_view kUnlock = "SELECT pg_catalog.pg_advisory_unlock(1818783079)";
constexpr absl::Duration kLockPause = absl::Milliseconds(50);

// With the lock held: reads the history and runs `work`, which keeps it up to date.
absl::Status WithHistory(postgres::Connection& owner, const MigrateOptions& options, MigrateResult& result,
                         const std::function<absl::Status(History&)>& work) {
  LH_RETURN_IF_ERROR(LockMigrations(owner, options));
  const auto locked = [&]() -> absl::Status {
    absl::StatusOr<History> history = ReadHistory(owner);
    result.unprepared = !history.ok() && IsUnprepared(history.status());
    LH_RETURN_IF_ERROR(history.status());
    const absl::Status done = work(*history);
    result.unprepared = ReasonOf(done) == v1::REASON_INSUFFICIENT_PRIVILEGE;
    if (postgres::IsConnectionFailure(done)) return done;
    if (!done.ok()) history = ReadHistory(owner);  // a part of a file may have run
    if (!history.ok()) return done.ok() ? history.status() : done;
    result.version = NewestVersion(*history);
    result.digest = DigestOf(*history);
    return done;
  };
  const absl::Status status = locked();
  if (!postgres::IsConnectionFailure(status)) (void)owner.ExecAlone(kUnlock);
  owner.Stay(false);
  return status;
}

absl::Status CheckHistory(const History& history, const Migrations& migrations) {
  const std::vector<HistoryMismatch> found = CompareHistory(history, migrations);
  if (found.empty()) return absl::OkStatus();
  const absl::Status status = StatusOf(found.front());
  return history.contains(found.front().version) && history.at(found.front().version).unknown
             ? WithRetryAfter(status, absl::Seconds(1))
             : status;
}

bool IsApplied(const History& history, const Migration& file) {
  const auto row = history.find(file.version);
  return row != history.end() && row->second.applied;
}

size_t LastOf(std::span<const SqlStatement> statements) { return statements.empty() ? 0 : statements.size() - 1; }

// One transaction: the statements and their record. A constraint that is checked at the commit fails the last one.
absl::Status InOneTransaction(postgres::Connection& owner, const std::string& file,
                              std::span<const SqlStatement> statements, const MigrateOptions& options,
                              MigrateResult& result,
                              const std::function<absl::Status(postgres::Transaction&)>& record) {
  return WithRetries(options, result, [&]() -> absl::Status {
    bool recorded = false;
    const absl::Status status = owner.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
      LH_RETURN_IF_ERROR(tx.Exec(SettingsFor(options, "SET LOCAL")).status());
      LH_RETURN_IF_ERROR(RunStatements(tx, file, statements, result));
      LH_FAILPOINT("before recording a migration");
      LH_RETURN_IF_ERROR(record(tx));
      recorded = true;
      LH_FAILPOINT("before committing a migration");
      return absl::OkStatus();
    });
    if (status.ok()) LH_FAILPOINT("after committing a migration");
    if (status.ok() || !recorded) return status;
    return FailedAt(file, statements, LastOf(statements), status, result);
  });
}

absl::Status ApplyFile(postgres::Connection& owner, const Secret& secret, const Migration& file, const History& history,
                       const MigrateOptions& options, MigrateResult& result) {
  if (file.transactional) {
    return InOneTransaction(owner, file.name, file.statements, options, result, [&](postgres::Transaction& tx) {
      return HistoryWriter(tx, secret).Applied(file, options.run);
    });
  }
  const auto row = history.find(file.version);
  return RunAlone(owner, secret, file, row == history.end() ? HistoryRow() : row->second, options, result);
}

absl::Status NoDown(const Migration& file) {
  return Error(v1::REASON_MIGRATION_FAILED, std::format("migration {} has no down file", file.name));
}

// What the run applied, newest first.
absl::StatusOr<std::vector<const Migration*>> ToTakeBack(const History& history, const Migrations& migrations,
                                                         const std::string& run) {
  std::vector<const Migration*> files;
  std::string above;  // the oldest so far that somebody else applied
  for (const auto& [version, row] : std::views::reverse(history)) {
    if (!row.applied && row.done == 0 && row.begun == 0) continue;
    if (row.run != run) {
      above = row.name;
      continue;
    }
    const auto file = std::ranges::find(migrations, version, &Migration::version);
    if (file == migrations.end()) {
      return Error(v1::REASON_MIGRATION_FAILED, std::format("migration {} is missing from the folder", row.name));
    }
    if (!row.applied) {
      return Error(v1::REASON_MIGRATION_FAILED,
                   std::format("migration {} was applied in part, which no down file takes back", row.name));
    }
    if (!file->down.has_value()) return NoDown(*file);
    if (!above.empty()) {
      return Error(v1::REASON_MIGRATION_FAILED,
                   std::format("migration {} was applied after {}, and not by this run", above, row.name));
    }
    files.push_back(&*file);
  }
  return files;
}

}  // namespace

absl::Status LockMigrations(postgres::Connection& owner, const MigrateOptions& options) {
  const absl::Time end = absl::Now() + options.runner_patience;
  while (true) {
    LH_ASSIGN_OR_RETURN(const pqxx::result locked, owner.ExecAlone(kTryLock));
    if (locked[0][0].as<bool>()) {
      owner.Stay(true);
      return absl::OkStatus();
    }
    if (absl::Now() >= end) {
      return WithRetryAfter(Error(v1::REASON_MIGRATION_FAILED, "another runner is migrating this database"),
                            absl::Seconds(1));
    }
    LH_RETURN_IF_ERROR(Pause(options, kLockPause));
  }
}

absl::Status Migrate(postgres::Connection& owner, const Secret& secret, const Migrations& migrations,
                     const MigrateOptions& options, MigrateResult& result) {
  return WithHistory(owner, options, result, [&](History& history) -> absl::Status {
    LH_RETURN_IF_ERROR(CheckHistory(history, migrations));
    for (const Migration& file : migrations) {
      if (IsApplied(history, file)) continue;
      LH_RETURN_IF_ERROR(ApplyFile(owner, secret, file, history, options, result));
      history[file.version] = {.name = file.name, .checksum = file.checksum, .run = options.run};
      result.files.push_back(file.name);
    }
    return absl::OkStatus();
  });
}

absl::Status DryRun(postgres::Connection& owner, const Secret& secret, const Migrations& migrations,
                    const MigrateOptions& options, MigrateResult& result) {
  return WithHistory(owner, options, result, [&](const History& history) -> absl::Status {
    LH_RETURN_IF_ERROR(CheckHistory(history, migrations));
    std::vector<const Migration*> pending;
    for (const Migration& file : migrations) {
      if (IsApplied(history, file)) continue;
      if (!file.transactional || !result.skipped.empty()) {
        result.skipped.push_back(file.name);
      } else {
        pending.push_back(&file);
      }
    }
    bool whole = false;
    const absl::Status tried = WithRetries(options, result, [&] {
      result.files.clear();
      return owner.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
        for (const Migration* file : pending) {
          LH_RETURN_IF_ERROR(tx.Exec(SettingsFor(options, "SET LOCAL")).status());
          LH_RETURN_IF_ERROR(RunStatements(tx, file->name, file->statements, result));
          const absl::Status checked = tx.Exec("SET CONSTRAINTS ALL IMMEDIATE").status();
          if (!checked.ok()) {
            return FailedAt(file->name, file->statements, LastOf(file->statements), checked, result);
          }
          LH_RETURN_IF_ERROR(HistoryWriter(tx, secret).Applied(*file, options.run));
          result.files.push_back(file->name);
        }
        whole = true;
        return Error(v1::REASON_CANCELLED, "a dry run is rolled back");
      });
    });
    return whole && ReasonOf(tried) == v1::REASON_CANCELLED ? absl::OkStatus() : tried;
  });
}

absl::Status Undo(postgres::Connection& owner, const Secret& secret, const Migrations& migrations,
                  const std::string& run, const MigrateOptions& options, MigrateResult& result) {
  return WithHistory(owner, options, result, [&](History& history) -> absl::Status {
    LH_ASSIGN_OR_RETURN(const std::vector<const Migration*> files, ToTakeBack(history, migrations, run));
    for (const Migration* file : files) {
      LH_RETURN_IF_ERROR(
          InOneTransaction(owner, file->down->name, file->down->statements, options, result,
                           [&](postgres::Transaction& tx) { return HistoryWriter(tx, secret).Undone(file->version); }));
      history.erase(file->version);
      result.files.push_back(file->down->name);
    }
    return absl::OkStatus();
  });
}

}  // namespace leasehold::provisioner
