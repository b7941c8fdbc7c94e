#include "services/gateway/audit/trimmer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/gateway/audit/tampered.h"
#include "services/gateway/audit/trim.h"

namespace leasehold::gateway {
namespace {

constexpr absl::Duration kUnprepared = absl::Seconds(1);
constexpr absl::Duration kAfterFailure = absl::Minutes(1);

}  // namespace

AuditTrimmer::AuditTrimmer(Options options, const Clock& clock, Metrics& metrics)
    : options_(std::move(options)),
      clock_(clock),
      removed_(metrics.Counter("leasehold_audit_trimmed_records_total",
                               "Records that this gateway has removed, being older than audit.retention")),
      tampered_(TamperedCounter(metrics)),
      oldest_(metrics.Gauge("leasehold_audit_oldest_record_seconds",
                            "How old the trail's oldest record was at the last look, with audit.retention")) {}

AuditTrimmer::~AuditTrimmer() { Stop(); }

void AuditTrimmer::Start() {
  if (options_.retention == absl::ZeroDuration()) return;
  thread_ = std::thread([this] { Run(); });
}

void AuditTrimmer::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

bool AuditTrimmer::Pause(absl::Duration wait) {
  absl::MutexLock lock(&mu_);
  return !mu_.AwaitWithTimeout(absl::Condition(&stopping_), wait);
}

void AuditTrimmer::Run() {
  absl::Duration wait = absl::ZeroDuration();
  std::string trouble;
  while (Pause(wait)) {
    wait = kUnprepared;
    if (!options_.prepared()) continue;
    const absl::Status status = Look();
    wait = status.ok() ? options_.interval : std::min(options_.interval, kAfterFailure);
    // Once, not every minute.
    const std::string now(StdView(status.message()));
    if (!status.ok() && now != trouble) {
      Log(status.code() == absl::StatusCode::kDataLoss ? Level::kError : Level::kWarning,
          "the audit trail cannot be shortened, trying on", {{"error", now}});
    }
    trouble = now;
  }
}

absl::Status AuditTrimmer::Look() {
  postgres::Connection table(options_.registry);
  LH_RETURN_IF_ERROR(Remove(table));
  const TrimBounds bounds{
      .gateway = absl::StrCat(options_.gateway, "/trim"), .retention = options_.retention, .now = clock_.Now()};
  for (int64_t count = bounds.most; count == bounds.most && Pause(absl::ZeroDuration());) {
    count = 0;
    const absl::Status moved = table.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
      LH_ASSIGN_OR_RETURN(const bool mine, TakeTrimTurn(tx));
      if (!mine) return absl::OkStatus();
      LH_ASSIGN_OR_RETURN(count, MoveAnchor(tx, bounds));
      return absl::OkStatus();
    });
    if (moved.code() == absl::StatusCode::kDataLoss) tampered_.Increment();
    LH_RETURN_IF_ERROR(moved);
    if (count > 0) LH_RETURN_IF_ERROR(Remove(table));
  }
  return NoteOldest(table);
}

absl::Status AuditTrimmer::Remove(postgres::Connection& table) {
  int64_t removed = 0;
  // From number to number: looking for the first one again, each step would go over all that were removed before.
  std::optional<int64_t> from;
  absl::Status status;
  for (bool more = true; more;) {
    int64_t gone = 0;
    more = false;
    status = table.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
      LH_ASSIGN_OR_RETURN(const bool mine, TakeTrimTurn(tx));
      if (!mine) return absl::OkStatus();
      LH_ASSIGN_OR_RETURN(const AuditAnchor anchor, NewestAnchor(tx));
      const int64_t end = anchor.last.number;
      if (!from) {
        LH_ASSIGN_OR_RETURN(const pqxx::result oldest, tx.Exec("SELECT min(number) FROM leasehold.audit"));
        from = oldest[0][0].is_null() ? end + 1 : oldest[0][0].as<int64_t>();
      }
      if (*from > end) return absl::OkStatus();
      const int64_t to = std::min(end, *from + options_.step - 1);
      LH_ASSIGN_OR_RETURN(const pqxx::result deleted,
                          tx.Exec("DELETE FROM leasehold.audit WHERE number BETWEEN $1 AND $2",
                                  {std::to_string(*from), std::to_string(to)}));
      gone = deleted.affected_rows();
      from = to + 1;
      more = to < end;
      return absl::OkStatus();
    });
    if (status.ok()) removed += gone;
    more = more && status.ok() && Pause(options_.pause);
  }
  removed_.Increment(static_cast<double>(removed));
  if (removed > 0) {
    Log(Level::kInfo, "audit records removed, being older than audit.retention",
        {{"records", std::to_string(removed)}, {"up_to", std::to_string(*from - 1)}});
  }
  return status;
}

absl::Status AuditTrimmer::NoteOldest(postgres::Connection& table) {
  return table.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(const pqxx::result oldest,
                        tx.Exec("SELECT extract(epoch FROM now() - coalesce(stored_time, last_time))::float8"
                                " FROM leasehold.audit ORDER BY number LIMIT 1"));
    oldest_.Set(oldest.empty() ? 0 : oldest[0][0].as<double>());
    return absl::OkStatus();
  });
}

}  // namespace leasehold::gateway
