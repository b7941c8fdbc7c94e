// One step of shortening the trail from its beginning, within a transaction. Everything blocks.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/postgres/postgres.h"
#include "leasehold/v1/audit.pb.h"
#include "services/gateway/audit/records.h"

namespace leasehold::gateway {

struct TrimBounds {
  std::string gateway;  // in whose name the trail is told; nobody else appends under it
  absl::Duration retention;
  absl::Time now;       // as the gateway's clock has it; PostgreSQL's counts too, whichever is behind
  int64_t most = 2000;  // records
};

// Takes the turn to shorten the trail, which lasts as long as the transaction. False: another gateway has it.
absl::StatusOr<bool> TakeTrimTurn(postgres::Transaction& tx);

// Lets go of the oldest records that are older than the retention and in the stream, up to `most` of them: appends an
// event that tells so, and sets the anchor behind which the chain begins from then on. Returns how many. Removes
// nothing. The newest record always stays. DATA_LOSS, and nothing changes, if these records are not as they were
// written. FAILED_PRECONDITION if the table's floor is above the retention.
absl::StatusOr<int64_t> MoveAnchor(postgres::Transaction& tx, const TrimBounds& bounds);

// Whether `event` is the one by which MoveAnchor() tells that `last` is the newest of what was removed.
bool TellsOfTrim(const v1::AuditEvent& event, const AuditHead& last);

}  // namespace leasehold::gateway
