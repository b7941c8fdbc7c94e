// The trail's table: leasehold.audit of the registry's database, one row a record, appended to and never changed.
// Everything blocks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/postgres/postgres.h"
#include "leasehold/v1/audit.pb.h"
#include "services/gateway/audit/buffer.h"
#include "services/gateway/audit/chain.h"

namespace leasehold::gateway {

// The newest record that somebody knows of.
struct AuditHead {
  int64_t number = 0;  // none
  std::string hash = AuditChainStart();
};

struct Appended {
  AuditHead head;
  std::string previous;  // the hash before; empty: it was an earlier call's record
  // The record `known` is not in the table any more, or is another one: somebody has changed it.
  bool tampered = false;
};

// Up to where the trail was shortened: what follows continues this record.
struct AuditAnchor {
  AuditHead last;       // as long as nothing was: none
  int64_t told_in = 0;  // the record that tells of it; 0: none does, it was set by hand
  absl::Time time = absl::InfinitePast();
};

// Appends what `gateway` has gathered, behind what all gateways have. `known`: the last head that this gateway's only
// writer appended; if a record of its is behind it, an earlier call has come through without having been told. Never
// takes a number again whose record has vanished, so that the gap tells of it.
absl::StatusOr<Appended> Append(postgres::Connection& connection, const std::string& gateway,
                                const AuditBuffer::Batch& batch, const AuditHead& known);

// The same within a transaction, without a look at what came before; others that append wait until it ends.
absl::StatusOr<AuditHead> AppendWithin(postgres::Transaction& tx, const std::string& gateway,
                                       const AuditBuffer::Batch& batch);

absl::StatusOr<AuditAnchor> NewestAnchor(postgres::Transaction& tx);

// Up to `limit` records from `number` on, in their order.
absl::StatusOr<std::vector<v1::AuditRecord>> ReadRecords(postgres::Transaction& tx, int64_t number, int limit);

// Takes the relay's turn, which lasts as long as the transaction, and returns the first number that the stream has not
// got; none if another gateway has the turn.
absl::StatusOr<std::optional<int64_t>> FirstUnpublished(postgres::Transaction& tx);
absl::Status MarkPublished(postgres::Transaction& tx, int64_t number);

}  // namespace leasehold::gateway
