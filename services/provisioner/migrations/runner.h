// Applies migrations to one database, each exactly once; tries them out; takes them back.
//
// `owner` in all of these: a connection that logged in as the role that shall own what the files make. Its session
// holds the database's migration lock, Migrate()'s for a file at a time and the others' for the time of the call, and
// is replaced by no other meanwhile (postgres::Connection::Stay): two runners on one database wait for each other, and
// for what a killed one left running in the server. All block.
#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/postgres/postgres.h"
#include "common/secret/secret.h"
#include "services/provisioner/migrations/folder.h"
#include "services/provisioner/migrations/history.h"

namespace leasehold::provisioner {

struct MigrateOptions {
  std::string run{};  // recorded with each migration; empty: none
  // For each lock of a statement. Sessions that come after queue behind a statement that waits, so this is short, and
  // an attempt that did not get its locks is rolled back and followed by another.
  absl::Duration lock_timeout = absl::Seconds(3);
  int lock_attempts = 6;
  absl::Duration min_backoff = absl::Milliseconds(200);
  absl::Duration max_backoff = absl::Seconds(10);
  absl::Duration statement_timeout = absl::ZeroDuration();  // of each statement; zero: none
  // A dry run's, for what is else done without keeping writers waiting.
  absl::Duration longest_trial = absl::Seconds(1);
  // No file above it is applied, though the history is compared with all of them.
  int newest = std::numeric_limits<int>::max();
  // How long to wait for another runner.
  absl::Duration runner_patience = absl::Seconds(30);
  // Asked before each file, each attempt, and several times a second in a wait: what it returns, if not OK, ends the
  // run.
  std::function<absl::Status()> go_on = [] { return absl::OkStatus(); };
};

struct StatementFailure {
  std::string file{};
  int statement = 0;  // from 1; 0: of none, or nobody knows
  int line = 0;       // of the file
  std::string sqlstate{};
  std::string text{};    // the statement, from the file, cut to 500 bytes
  std::string reason{};  // PostgreSQL's message, if it speaks of names alone
};

struct MigrateResult {
  std::vector<std::string> files{};    // applied, tried out or taken back, in that order
  std::vector<std::string> skipped{};  // by a dry run: those that could not be tried, or not wholly
  int attempts = 0;                    // more than the files: locks were not to be had
  std::optional<StatementFailure> failure{};
  // The history afterwards. Not known (no `version`) after a lost connection.
  std::optional<int> version{};
  std::string digest{};
  // PrepareHistory() has to run first; nothing was done.
  bool unprepared = false;
  // What was applied is not what the files are; nothing was done.
  bool disagrees = false;
};

// Takes the database's migration lock, which goes with the session; the connection stays from then on. All others here
// take it, and let it go, themselves.
absl::Status LockMigrations(postgres::Connection& owner, const MigrateOptions& options);

// Brings the database to the newest version. MIGRATION_FAILED names the file and, for a failed statement, its line and
// SQLSTATE: what ran before it stays recorded. The database's history must agree with the files: none of them changed,
// missing, or late.
absl::Status Migrate(postgres::Connection& owner, const Secret& secret, const Migrations& migrations,
                     const MigrateOptions& options, MigrateResult& result);

// MIGRATION_FAILED if Undo() would refuse. Without the lock: a look.
absl::Status CheckUndo(postgres::Connection& owner, const Migrations& migrations, const std::string& run);

// Runs what Migrate() would in one transaction, and rolls it back. Of files without a transaction of their own, what
// wants to be CONCURRENT is tried without that, for as long as `longest_trial`; VACUUM and REINDEX are left out. What
// cannot be tried in one transaction ends it, and what comes after it is not tried either.
absl::Status DryRun(postgres::Connection& owner, const Secret& secret, const Migrations& migrations,
                    const MigrateOptions& options, MigrateResult& result);

// Takes back, newest first, what the run `run` applied; nothing if that is nothing. MIGRATION_FAILED before anything is
// done if one of the files has no down file, or if something newer was applied by somebody else.
absl::Status Undo(postgres::Connection& owner, const Secret& secret, const Migrations& migrations,
                  const std::string& run, const MigrateOptions& options, MigrateResult& result);

}  // namespace leasehold::provisioner
