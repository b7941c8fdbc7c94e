#include "services/gateway/audit/records.h"

#include <algorithm>
#include <utility>

#include "common/secret/secret.h"
#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

// Any numbers that nothing else in this database locks.
constexpr int64_t kAppending = 7450000003;
constexpr int64_t kPublishing = 7450000004;

// These run many times a second. Statements with parameters are parsed and planned once a connection.
constexpr std::string_view kLock = "SELECT pg_advisory_xact_lock($1)";
constexpr std::string_view kNewest =
    "SELECT number, encode(hash, 'hex') FROM leasehold.audit WHERE number > $1 ORDER BY number DESC LIMIT 1";
constexpr std::string_view kPublishedIfMine =
    "SELECT number FROM leasehold.audit_published WHERE pg_try_advisory_xact_lock($1)";

constexpr std::string_view kFrom =
    "SELECT number, gateway, events, encode(previous, 'hex'), encode(hash, 'hex') FROM leasehold.audit"
    " WHERE number >= $1 ORDER BY number LIMIT $2";

absl::StatusOr<AuditHead> HeadOf(const pqxx::result& found) {
  AuditHead head;
  if (found.empty()) return head;
  head.number = found[0][0].as<int64_t>();
  LH_ASSIGN_OR_RETURN(head.hash, FromHex(found[0][1].view()));
  return head;
}

// Locks the chain for as long as the transaction lasts.
absl::StatusOr<AuditHead> NewestHead(postgres::Transaction& tx) {
  LH_RETURN_IF_ERROR(tx.Exec(kLock, {std::to_string(kAppending)}).status());
  LH_ASSIGN_OR_RETURN(const pqxx::result newest, tx.Exec(kNewest, {"0"}));
  return HeadOf(newest);
}

absl::StatusOr<AuditHead> Insert(postgres::Transaction& tx, const std::string& gateway, const AuditBuffer::Batch& batch,
                                 const AuditHead& before) {
  AuditHead head;
  head.number = before.number + 1;
  head.hash = AuditHash(before.hash, head.number, gateway, batch.lines);
  LH_RETURN_IF_ERROR(
      tx.Exec(
            "INSERT INTO leasehold.audit (number, gateway, first_time, last_time, event_count, events, previous, hash)"
            " VALUES ($1, $2, to_timestamp($3::bigint / 1e6), to_timestamp($4::bigint / 1e6), $5, $6,"
            " decode($7, 'hex'), decode($8, 'hex'))",
            {std::to_string(head.number), gateway, std::to_string(absl::ToUnixMicros(batch.first)),
             std::to_string(absl::ToUnixMicros(batch.last)), std::to_string(batch.events), batch.lines,
             Hex(before.hash), Hex(head.hash)})
          .status());
  return head;
}

}  // namespace

absl::StatusOr<Appended> Append(postgres::Connection& connection, const std::string& gateway,
                                const AuditBuffer::Batch& batch, const AuditHead& known) {
  Appended done;
  const absl::Status status = connection.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    done = {};
    LH_ASSIGN_OR_RETURN(AuditHead before, NewestHead(tx));
    if (before.number > known.number) {
      LH_ASSIGN_OR_RETURN(const pqxx::result ours,
                          tx.Exec("SELECT number, encode(hash, 'hex') FROM leasehold.audit"
                                  " WHERE number > $1 AND gateway = $2 ORDER BY number DESC LIMIT 1",
                                  {std::to_string(known.number), gateway}));
      if (!ours.empty()) {
        LH_ASSIGN_OR_RETURN(done.head, HeadOf(ours));
        return absl::OkStatus();
      }
    } else if (before.number < known.number || before.hash != known.hash) {
      done.tampered = true;
      before = known;
    }
    LH_ASSIGN_OR_RETURN(done.head, Insert(tx, gateway, batch, before));
    done.previous = std::move(before.hash);
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(status);
  return done;
}

absl::StatusOr<AuditHead> AppendWithin(postgres::Transaction& tx, const std::string& gateway,
                                       const AuditBuffer::Batch& batch) {
  LH_ASSIGN_OR_RETURN(const AuditHead before, NewestHead(tx));
  return Insert(tx, gateway, batch, before);
}

absl::StatusOr<AuditAnchor> NewestAnchor(postgres::Transaction& tx) {
  AuditAnchor anchor;
  LH_ASSIGN_OR_RETURN(const pqxx::result found, tx.Exec("SELECT number, encode(hash, 'hex'), coalesce(told_in, 0),"
                                                        " (extract(epoch FROM trim_time) * 1e6)::bigint"
                                                        " FROM leasehold.audit_trims ORDER BY number DESC LIMIT 1"));
  LH_ASSIGN_OR_RETURN(anchor.last, HeadOf(found));
  if (found.empty()) return anchor;
  anchor.told_in = found[0][2].as<int64_t>();
  anchor.time = absl::FromUnixMicros(found[0][3].as<int64_t>());
  return anchor;
}

absl::StatusOr<std::vector<v1::AuditRecord>> ReadRecords(postgres::Transaction& tx, int64_t number, int limit) {
  LH_ASSIGN_OR_RETURN(const pqxx::result found, tx.Exec(kFrom, {std::to_string(number), std::to_string(limit)}));
  std::vector<v1::AuditRecord> records;
  for (const pqxx::row& row : found) {
    v1::AuditRecord& record = records.emplace_back();
    record.set_number(row[0].as<int64_t>());
    record.set_gateway(row[1].as<std::string>());
    record.set_events(row[2].as<std::string>());
    LH_ASSIGN_OR_RETURN(*record.mutable_previous(), FromHex(row[3].view()));
    LH_ASSIGN_OR_RETURN(*record.mutable_hash(), FromHex(row[4].view()));
  }
  return records;
}

absl::StatusOr<std::optional<int64_t>> FirstUnpublished(postgres::Transaction& tx) {
  LH_ASSIGN_OR_RETURN(const pqxx::result published, tx.Exec(kPublishedIfMine, {std::to_string(kPublishing)}));
  if (published.empty()) return std::nullopt;
  return published[0][0].as<int64_t>() + 1;
}

absl::Status MarkPublished(postgres::Transaction& tx, int64_t number) {
  return tx.Exec("UPDATE leasehold.audit_published SET number = $1", {std::to_string(number)}).status();
}

}  // namespace leasehold::gateway
