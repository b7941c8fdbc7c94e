#include "services/provisioner/migrations/runner.h"

#include <algorithm>
#include <format>
#include <ranges>
#include <span>
#include <utility>

#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/failpoint/failpoint.h"
#include "common/status/error.h"
#include "services/provisioner/migrations/alone.h"
#include "services/provisioner/migrations/attempt.h"
#include "services/provisioner/migrations/concurrent.h"

namespace leasehold::provisioner {
namespace {

// Of the session, so that it outlives the transactions of one run. "lhmg".
constexpr std::string_view kTryLock = "SELECT pg_catalog.pg_try_advisory_lock(1818783079)";
// The same lock, until the transaction's end; and the transaction's id.
constexpr std::string_view kTryLockInTransaction =
    "SELECT pg_catalog.pg_try_advisory_xact_lock(1818783079), pg_catalog.pg_current_xact_id()";
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

absl::Status AnotherRunner() {
  return WithRetryAfter(Error(v1::REASON_MIGRATION_FAILED, "another runner is migrating this database"),
                        absl::Seconds(1));
}

bool IsApplied(const History& history, const Migration& file) {
  const auto row = history.find(file.version);
  return row != history.end() && row->second.applied;
}

size_t LastOf(std::span<const SqlStatement> statements) { return statements.empty() ? 0 : statements.size() - 1; }

absl::Status Limit(postgres::Transaction& tx, const MigrateOptions& options) {
  return tx.Exec(absl::StrJoin(SettingsFor(options, "SET LOCAL"), ";")).status();
}

// One transaction: the statements and their record. A constraint that is checked at the commit fails the last one.
absl::Status InOneTransaction(postgres::Connection& owner, const std::string& file,
                              std::span<const SqlStatement> statements, const MigrateOptions& options,
                              MigrateResult& result,
                              const std::function<absl::Status(postgres::Transaction&)>& record) {
  return WithRetries(options, result, [&]() -> absl::Status {
    bool recorded = false;
    const absl::Status status = owner.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
      LH_RETURN_IF_ERROR(Limit(tx, options));
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

// One file at a time: a transaction that takes the migration lock, looks at the history, and then, in one message, runs
// the file, records it and commits. A fresh session costs more than what it does, and what it does is paid by the
// statement, so there are as few as can be (docs/adr/0016-two-messages-a-migration.md).
class Application {
 public:
  Application(postgres::Connection& owner, const Secret& secret, const Migrations& migrations,
              const MigrateOptions& options, MigrateResult& result)
      : owner_(owner), secret_(secret), migrations_(migrations), options_(options), result_(result) {}

  absl::Status Run() {
    absl::Status status;
    bool first = true;
    do {
      alone_ = nullptr;
      if (!std::exchange(first, false)) {
        status = owner_.ExecTogether(std::vector<std::string>{std::string(kFreshSession)}).status;
      }
      if (status.ok()) status = WithRetries(options_, result_, [this] { return Turn(); });
      owner_.Stay(false);
      if (status.ok() && alone_ != nullptr) status = ApplyAlone(*alone_);
    } while (status.ok() && more_);
    if (postgres::IsConnectionFailure(status)) result_.version.reset();
    return status;
  }

 private:
  // Applies the first file that is pending, or leaves it in alone_.
  absl::Status Turn() {
    more_ = false;
    LH_RETURN_IF_ERROR(Begin());
    const auto pending = [this](const Migration& file) {
      return file.version <= options_.newest && !IsApplied(history_, file);
    };
    const auto file = std::ranges::find_if(migrations_, pending);
    const absl::Status checked = CheckHistory(history_, migrations_);
    result_.disagrees = !checked.ok();
    if (!checked.ok() || file == migrations_.end() || !file->transactional) {
      LH_RETURN_IF_ERROR(RollBack());
      LH_RETURN_IF_ERROR(checked);
      if (file != migrations_.end()) alone_ = &*file;
    } else {
      LH_RETURN_IF_ERROR(Apply(*file));
    }
    more_ = file != migrations_.end() && std::find_if(file + 1, migrations_.end(), pending) != migrations_.end();
    return absl::OkStatus();
  }

  // Leaves a transaction with the lock open; history_ and transaction_ are of it.
  absl::Status Begin() {
    const absl::Time end = absl::Now() + options_.runner_patience;
    std::vector<std::string> statements = SettingsFor(options_, "SET LOCAL");
    statements.insert(statements.begin(), "BEGIN");
    statements.emplace_back(kTryLockInTransaction);
    statements.emplace_back(HistoryQuery());
    while (true) {
      const postgres::Together begun = owner_.ExecTogether(statements);
      if (!begun.status.ok()) {
        result_.unprepared = IsUnprepared(begun.status);
        if (!postgres::IsConnectionFailure(begun.status)) (void)RollBack();
        return begun.status;
      }
      const auto& lock = begun.rows[statements.size() - 2][0];
      if (lock[0] == "t") {
        // What follows is of this session or of none.
        owner_.Stay(true);
        transaction_ = lock[1].value_or("");
        Know(HistoryOf(begun.rows.back()));
        return absl::OkStatus();
      }
      LH_RETURN_IF_ERROR(RollBack());
      if (absl::Now() >= end) return AnotherRunner();
      LH_RETURN_IF_ERROR(Pause(options_, kLockPause));
    }
  }

  absl::Status RollBack() { return owner_.ExecTogether(std::vector<std::string>{"ROLLBACK"}).status; }

  absl::Status Apply(const Migration& file) {
    std::vector<std::string> statements;
    for (const SqlStatement& statement : file.statements) statements.push_back(statement.text);
    statements.push_back(RecordStatement(secret_, transaction_, file, options_.run));
    statements.emplace_back("COMMIT");
    LH_FAILPOINT("before sending a migration");
    const postgres::Together applied = owner_.ExecTogether(statements);
    const size_t of_file = std::min(applied.failed, LastOf(file.statements));
    if (applied.status.ok()) {
      LH_FAILPOINT("after committing a migration");
      history_[file.version] = {.name = file.name, .checksum = file.checksum, .run = options_.run};
      Know(std::move(history_));
      result_.files.push_back(file.name);
      return absl::OkStatus();
    }
    if (postgres::IsConnectionFailure(applied.status)) {
      // Without a word from the server nobody knows how far it was.
      const bool known = !postgres::SqlStateOf(applied.status).empty();
      return FailedAt(file.name, known ? std::span(file.statements) : std::span<const SqlStatement>(), of_file,
                      applied.status, result_);
    }
    LH_RETURN_IF_ERROR(RollBack());
    if (applied.failed == file.statements.size() && IsUnrecorded(applied.status)) {
      result_.unprepared = true;
      return applied.status;
    }
    if (applied.failed == file.statements.size()) {
      return NotRecorded(file.name, file.statements, applied.status, result_);
    }
    // A constraint that is checked at the commit fails the last one.
    return FailedAt(file.name, file.statements, of_file, applied.status, result_);
  }

  // Under a lock of the session: its statements are transactions of their own.
  absl::Status ApplyAlone(const Migration& file) {
    return WithHistory(owner_, options_, result_, [&](History& history) -> absl::Status {
      LH_RETURN_IF_ERROR(CheckHistory(history, migrations_));
      if (IsApplied(history, file)) return absl::OkStatus();
      const auto row = history.find(file.version);
      LH_RETURN_IF_ERROR(
          RunAlone(owner_, secret_, file, row == history.end() ? HistoryRow() : row->second, options_, result_));
      history[file.version] = {.name = file.name, .checksum = file.checksum, .run = options_.run};
      result_.files.push_back(file.name);
      return absl::OkStatus();
    });
  }

  void Know(History history) {
    history_ = std::move(history);
    result_.version = NewestVersion(history_);
    result_.digest = DigestOf(history_);
  }

  postgres::Connection& owner_;
  const Secret& secret_;
  const Migrations& migrations_;
  const MigrateOptions& options_;
  MigrateResult& result_;
  History history_;
  std::string transaction_;           // the open one's id
  const Migration* alone_ = nullptr;  // the next one, which has no transaction
  bool more_ = false;                 // there are others behind it
};

// What Migrate() would run, file by file in one transaction, for as long as that shows anything.
class Trial {
 public:
  Trial(postgres::Transaction& tx, const Secret& secret, const MigrateOptions& options, MigrateResult& result)
      : tx_(tx), secret_(secret), options_(options), result_(result) {}

  absl::Status Run(const History& history, const Migrations& migrations) {
    for (const Migration& file : migrations) {
      if (file.version > options_.newest || IsApplied(history, file)) continue;
      if (at_end_) {
        result_.skipped.push_back(file.name);
        continue;
      }
      const auto row = history.find(file.version);
      left_out_ = false;
      if (&file != &migrations.front()) LH_RETURN_IF_ERROR(tx_.Exec(kFreshSession).status());
      LH_RETURN_IF_ERROR(Limit(tx_, options_));
      LH_RETURN_IF_ERROR(file.transactional ? RunWhole(file)
                                            : RunAlone(file, row == history.end() ? HistoryRow() : row->second));
      if (!at_end_) LH_RETURN_IF_ERROR(Record(file));
      (left_out_ || at_end_ ? result_.skipped : result_.files).push_back(file.name);
    }
    return absl::OkStatus();
  }

 private:
  // In a transaction of its own the file would do better than here, behind others.
  absl::Status UnlessOwing(const absl::Status& status) {
    constexpr std::string_view kUnsafeNewEnumValue = "55P04";
    constexpr std::string_view kActiveTransaction = "25001";
    const std::string sqlstate = result_.failure.has_value() ? result_.failure->sqlstate : "";
    if (status.ok() || (sqlstate != kUnsafeNewEnumValue && sqlstate != kActiveTransaction)) return status;
    result_.failure.reset();
    at_end_ = true;
    return absl::OkStatus();
  }

  absl::Status RunWhole(const Migration& file) {
    LH_RETURN_IF_ERROR(UnlessOwing(RunStatements(tx_, file.name, file.statements, result_)));
    if (at_end_) return absl::OkStatus();
    // What the commit would check; the files that follow may defer constraints again.
    const absl::Status checked =
        tx_.Exec("SAVEPOINT checked; SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK TO checked; RELEASE checked").status();
    return checked.ok() ? checked : FailedAt(file.name, file.statements, LastOf(file.statements), checked, result_);
  }

  absl::Status RunAlone(const Migration& file, const HistoryRow& row) {
    // What an interrupted statement has left is only tidied up outside transactions.
    at_end_ = row.begun > 0;
    for (size_t i = static_cast<size_t>(row.done); i < file.statements.size() && !at_end_; ++i) {
      const std::optional<std::string> form = FormForTransactions(file.statements[i].text);
      if (!form.has_value()) {
        left_out_ = true;
      } else if (*form != file.statements[i].text) {
        LH_RETURN_IF_ERROR(RunBriefly(file, i, *form));
      } else {
        const absl::Status status = tx_.Exec(*form).status();
        if (!status.ok()) LH_RETURN_IF_ERROR(UnlessOwing(FailedAt(file.name, file.statements, i, status, result_)));
      }
    }
    return absl::OkStatus();
  }

  // Without CONCURRENTLY, what writes to the table waits: not for long.
  absl::Status RunBriefly(const Migration& file, size_t index, const std::string& form) {
    constexpr std::string_view kCancelled = "57014";
    LH_RETURN_IF_ERROR(
        tx_.Exec(std::format("SET LOCAL statement_timeout = {}", absl::ToInt64Milliseconds(options_.longest_trial)))
            .status());
    const absl::Status status = tx_.Exec(form).status();
    if (postgres::SqlStateOf(status) == kCancelled) {
      at_end_ = true;
      return absl::OkStatus();
    }
    if (!status.ok()) return FailedAt(file.name, file.statements, index, status, result_);
    return Limit(tx_, options_);
  }

  absl::Status Record(const Migration& file) {
    HistoryWriter writer(tx_, secret_);
    const absl::Status recorded = file.transactional
                                      ? writer.Applied(file, options_.run)
                                      : writer.Noted(file, options_.run, static_cast<int>(file.statements.size()), 0);
    if (recorded.ok() || ReasonOf(recorded) == v1::REASON_INSUFFICIENT_PRIVILEGE) return recorded;
    return NotRecorded(file.name, file.statements, recorded, result_);
  }

  postgres::Transaction& tx_;
  const Secret& secret_;
  const MigrateOptions& options_;
  MigrateResult& result_;
  bool left_out_ = false;  // a statement of the present file was
  bool at_end_ = false;    // nothing can be tried any more
};

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
    if (absl::Now() >= end) return AnotherRunner();
    LH_RETURN_IF_ERROR(Pause(options, kLockPause));
  }
}

absl::Status Migrate(postgres::Connection& owner, const Secret& secret, const Migrations& migrations,
                     const MigrateOptions& options, MigrateResult& result) {
  return Application(owner, secret, migrations, options, result).Run();
}

absl::Status DryRun(postgres::Connection& owner, const Secret& secret, const Migrations& migrations,
                    const MigrateOptions& options, MigrateResult& result) {
  return WithHistory(owner, options, result, [&](const History& history) -> absl::Status {
    LH_RETURN_IF_ERROR(CheckHistory(history, migrations));
    bool whole = false;
    const absl::Status tried = WithRetries(options, result, [&] {
      result.files.clear();
      result.skipped.clear();
      return owner.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
        LH_RETURN_IF_ERROR(Trial(tx, secret, options, result).Run(history, migrations));
        whole = true;
        return Error(v1::REASON_CANCELLED, "a dry run is rolled back");
      });
    });
    return whole && ReasonOf(tried) == v1::REASON_CANCELLED ? absl::OkStatus() : tried;
  });
}

absl::Status CheckUndo(postgres::Connection& owner, const Migrations& migrations, const std::string& run) {
  LH_ASSIGN_OR_RETURN(const History history, ReadHistory(owner));
  return ToTakeBack(history, migrations, run).status();
}

absl::Status Undo(postgres::Connection& owner, const Secret& secret, const Migrations& migrations,
                  const std::string& run, const MigrateOptions& options, MigrateResult& result) {
  return WithHistory(owner, options, result, [&](History& history) -> absl::Status {
    LH_ASSIGN_OR_RETURN(const std::vector<const Migration*> files, ToTakeBack(history, migrations, run));
    for (const Migration* file : files) {
      if (!result.files.empty()) LH_RETURN_IF_ERROR(owner.ExecAlone(kFreshSession).status());
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
