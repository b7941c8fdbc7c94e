#include "services/provisioner/migrations/attempt.h"

#include <algorithm>
#include <format>

#include "absl/time/clock.h"
#include "common/clock/clock.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "common/telemetry/log.h"
#include "services/provisioner/migrations/server_message.h"

namespace leasehold::provisioner {
namespace {

constexpr size_t kMaxTextBytes = 500;
constexpr std::string_view kReadOnlyTransaction = "25006";
constexpr absl::Duration kTick = absl::Milliseconds(50);

bool MayWorkLater(std::string_view sqlstate) {
  return sqlstate == "55P03" || sqlstate == "40P01" || sqlstate == "40001";
}

// Connections, conflicts, resources, objects in use, operators, the system, PostgreSQL itself.
constexpr std::string_view kOfTheMoment[] = {"", "08", "40", "53", "55", "57", "58", "XX"};

std::string Milliseconds(absl::Duration time) {
  return std::format("'{}ms'",
                     time == absl::ZeroDuration() ? 0 : std::max<int64_t>(1, absl::ToInt64Milliseconds(time)));
}

}  // namespace

bool MayPass(std::string_view sqlstate) {
  return std::ranges::find(kOfTheMoment, sqlstate.substr(0, 2)) != std::end(kOfTheMoment);
}

std::vector<std::string> SettingsFor(const MigrateOptions& options, std::string_view set) {
  std::vector<std::string> statements;
  for (const std::string& setting :
       {std::string("search_path = \"$user\", public"), "lock_timeout = " + Milliseconds(options.lock_timeout),
        "statement_timeout = " + Milliseconds(options.statement_timeout),
        std::string("idle_in_transaction_session_timeout = 0"), std::string("transaction_timeout = 0")}) {
    statements.push_back(std::format("{} {}", set, setting));
  }
  return statements;
}

absl::Status FailedAt(const std::string& file, std::span<const SqlStatement> statements, size_t index,
                      const absl::Status& status, MigrateResult& result) {
  // Errors are terse: the message alone, neither statement nor row.
  Log(Level::kWarning, "migration statement failed", {{"file", file}, {"error", StdView(status.message())}});
  StatementFailure failure{.file = file, .sqlstate = std::string(postgres::SqlStateOf(status))};
  if (index < statements.size()) {
    failure.statement = static_cast<int>(index) + 1;
    failure.line = statements[index].line + LineOf(status, statements[index].text) - 1;
    failure.text = Printable(statements[index].text, kMaxTextBytes);
    failure.reason = NamesOnlyMessage(status, failure.sqlstate, statements[index].text);
  }
  // It may be the file's own doing, and may be somebody else's.
  if (postgres::IsConnectionFailure(status)) failure.reason = "its session was ended";
  result.failure = failure;
  if (postgres::IsConnectionFailure(status)) return status;
  return Error(v1::REASON_MIGRATION_FAILED,
               std::format("migration {} failed at line {}, statement {} (SQLSTATE {})", file, failure.line,
                           failure.statement, failure.sqlstate.empty() ? "unknown" : failure.sqlstate));
}

std::string SessionEnded(const StatementFailure& failure) {
  return std::format(
      "migration {}: its session was ended{}", failure.file,
      failure.statement == 0 ? "" : std::format(" at line {}, statement {}", failure.line, failure.statement));
}

absl::Status NotRecorded(const std::string& file, std::span<const SqlStatement> statements, const absl::Status& status,
                         MigrateResult& result) {
  const absl::Status failed =
      FailedAt(file, statements, statements.empty() ? 0 : statements.size() - 1, status, result);
  if (postgres::SqlStateOf(status) == kReadOnlyTransaction) {
    result.failure->reason = "the file has made the session read-only, so that it cannot be recorded";
  }
  return failed;
}

absl::Status RunStatements(postgres::Transaction& tx, const std::string& file, std::span<const SqlStatement> statements,
                           MigrateResult& result) {
  for (size_t i = 0; i < statements.size(); ++i) {
    const absl::Status status = tx.Exec(statements[i].text).status();
    if (!status.ok()) return FailedAt(file, statements, i, status, result);
  }
  return absl::OkStatus();
}

absl::Status WithRetries(const MigrateOptions& options, MigrateResult& result,
                         const std::function<absl::Status()>& attempt) {
  Backoff backoff(options.min_backoff, options.max_backoff);
  for (int number = 1;; ++number) {
    LH_RETURN_IF_ERROR(options.go_on());
    result.failure.reset();
    ++result.attempts;
    const absl::Status status = attempt();
    if (status.ok()) return status;
    const bool later = result.failure.has_value() && MayWorkLater(result.failure->sqlstate);
    if (!later || number >= options.lock_attempts) return status;
    LH_RETURN_IF_ERROR(Pause(options, backoff.Wait(number)));
  }
}

absl::Status Pause(const MigrateOptions& options, absl::Duration time) {
  const absl::Time end = absl::Now() + time;
  do {
    LH_RETURN_IF_ERROR(options.go_on());
    absl::SleepFor(std::clamp(end - absl::Now(), absl::ZeroDuration(), kTick));
  } while (absl::Now() < end);
  return absl::OkStatus();
}

}  // namespace leasehold::provisioner
