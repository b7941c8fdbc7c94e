// One file's statements: their time limits, what a failure says, and trying again when a lock was not to be had.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "services/provisioner/migrations/runner.h"

namespace leasehold::provisioner {

// "SET LOCAL …" or "SET …" of time limits and search path.
std::vector<std::string> SettingsFor(const MigrateOptions& options, std::string_view set);

// `status` of statements[index] of `file` as MIGRATION_FAILED, noted in `result`; a lost connection is noted and stays
// as it is.
absl::Status FailedAt(const std::string& file, std::span<const SqlStatement> statements, size_t index,
                      const absl::Status& status, MigrateResult& result);
// What is to be said of one that has lost its connection.
std::string SessionEnded(const StatementFailure& failure);
// FailedAt() of the record that follows the statements.
absl::Status NotRecorded(const std::string& file, std::span<const SqlStatement> statements, const absl::Status& status,
                         MigrateResult& result);

// Takes back what earlier files have set in the session, and their temporary tables: what a file does depends on the
// database alone, and not on which files came with it.
inline constexpr std::string_view kFreshSession = "RESET ALL; DISCARD TEMP";

// Runs them all; FailedAt() for the one that fails.
absl::Status RunStatements(postgres::Transaction& tx, const std::string& file, std::span<const SqlStatement> statements,
                           MigrateResult& result);

// Calls `attempt` until it works, fails for another reason than a lock (a time-out, a deadlock, a serialization
// failure), or options.lock_attempts are used up; waits between attempts.
absl::Status WithRetries(const MigrateOptions& options, MigrateResult& result,
                         const std::function<absl::Status()>& attempt);

// A failure of this SQLSTATE is of the moment (a lock, a full disk, a lost connection), not of what stands in the file.
bool MayPass(std::string_view sqlstate);

// Until `time` is over, or options.go_on says no.
absl::Status Pause(const MigrateOptions& options, absl::Duration time);

}  // namespace leasehold::provisioner
