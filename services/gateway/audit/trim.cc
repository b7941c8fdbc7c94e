#include "services/gateway/audit/trim.h"

#include <algorithm>
#include <format>

#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "services/gateway/audit/line.h"

namespace leasehold::gateway {
namespace {

// Of memory: records can be some hundred kilobytes.
constexpr int64_t kCheckedAtOnce = 50;

std::string DetailOf(const AuditHead& last) { return absl::StrCat("sha256 ", Hex(last.hash)); }

std::string SecondsOf(absl::Duration duration) { return std::to_string(absl::ToInt64Seconds(duration)); }

absl::Status CheckFloor(postgres::Transaction& tx, absl::Duration retention) {
  LH_ASSIGN_OR_RETURN(const pqxx::result floor, tx.Exec("SELECT max(retention)::text FROM leasehold.audit_floor"
                                                        " HAVING max(retention) > make_interval(secs => $1::bigint)",
                                                        {SecondsOf(retention)}));
  if (floor.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "audit.retention is ", absl::FormatDuration(retention),
      ", and leasehold.audit_floor lets nothing be removed that is younger than ", floor[0][0].as<std::string>()));
}

// How many of the records from `number` on, which come in order, may go; stops at the first that may not.
absl::StatusOr<int64_t> CountRipe(postgres::Transaction& tx, const TrimBounds& bounds, int64_t number, int64_t limit) {
  LH_ASSIGN_OR_RETURN(
      const pqxx::result found,
      tx.Exec("SELECT a.number <= p.number AND coalesce(a.stored_time, a.last_time) <="
              " least(now(), to_timestamp($3::bigint / 1e6)) - make_interval(secs => $4::bigint)"
              " FROM leasehold.audit a, leasehold.audit_published p WHERE a.number >= $1 ORDER BY a.number LIMIT $2",
              {std::to_string(number), std::to_string(limit), std::to_string(absl::ToUnixMicros(bounds.now)),
               SecondsOf(bounds.retention)}));
  int64_t ripe = 0;
  for (const pqxx::row& row : found) {
    if (!row[0].as<bool>()) break;
    ++ripe;
  }
  return ripe;
}

}  // namespace

absl::StatusOr<bool> TakeTrimTurn(postgres::Transaction& tx) {
  // Any number that nothing else in this database locks.
  LH_ASSIGN_OR_RETURN(const pqxx::result mine, tx.Exec("SELECT pg_try_advisory_xact_lock(7450000005)"));
  return mine[0][0].as<bool>();
}

absl::StatusOr<int64_t> MoveAnchor(postgres::Transaction& tx, const TrimBounds& bounds) {
  LH_RETURN_IF_ERROR(CheckFloor(tx, bounds.retention));
  LH_ASSIGN_OR_RETURN(AuditAnchor anchor, NewestAnchor(tx));
  AuditHead& last = anchor.last;
  const int64_t begin = last.number;
  while (last.number - begin < bounds.most) {
    const int64_t limit = std::min(kCheckedAtOnce, bounds.most - (last.number - begin));
    LH_ASSIGN_OR_RETURN(const int64_t ripe, CountRipe(tx, bounds, last.number + 1, limit));
    if (ripe == 0) break;
    LH_ASSIGN_OR_RETURN(const auto records, ReadRecords(tx, last.number + 1, static_cast<int>(ripe)));
    for (const v1::AuditRecord& record : records) {
      const int64_t number = last.number + 1;
      if (record.number() != number || record.previous() != last.hash ||
          AuditHash(record.previous(), number, record.gateway(), record.events()) != record.hash()) {
        return absl::DataLossError(
            absl::StrCat("record ", number, " of the audit trail is missing or not as it was written"));
      }
      last = {.number = number, .hash = record.hash()};
    }
    if (ripe < limit) break;
  }
  if (last.number == begin) return 0;

  AuditBuffer::Batch batch;
  const std::string subject = std::to_string(last.number);
  const std::string detail = absl::StrCat(DetailOf(last), ", older than ", absl::FormatDuration(bounds.retention));
  AppendAuditLine(batch.lines, bounds.now,
                  {.action = v1::AUDIT_ACTION_AUDIT_TRIM, .subject = subject, .detail = detail});
  batch.events = 1;
  batch.first = batch.last = bounds.now;
  LH_ASSIGN_OR_RETURN(const AuditHead told, AppendWithin(tx, bounds.gateway, batch));
  LH_RETURN_IF_ERROR(tx.Exec("INSERT INTO leasehold.audit_trims (number, hash, told_in, retention)"
                             " VALUES ($1, decode($2, 'hex'), $3, make_interval(secs => $4::bigint))",
                             {subject, Hex(last.hash), std::to_string(told.number), SecondsOf(bounds.retention)})
                         .status());
  return last.number - begin;
}

bool TellsOfTrim(const v1::AuditEvent& event, const AuditHead& last) {
  return event.action() == v1::AUDIT_ACTION_AUDIT_TRIM && event.outcome() == v1::REASON_UNSPECIFIED &&
         event.subject() == std::to_string(last.number) && event.detail().starts_with(DetailOf(last));
}

}  // namespace leasehold::gateway
