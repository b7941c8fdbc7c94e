// The transactional outbox: an event is committed together with the change it tells of, and stays until JetStream has
// stored it. See relay.h for who carries it there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/events/events.h"
#include "common/postgres/postgres.h"
#include "services/gateway/registry/rows.h"

namespace leasehold::gateway {

// Notified when the outbox has something new.
inline constexpr std::string_view kOutboxChannel = "leasehold_outbox";

// That there is a backup to take or to leave off. `suffix` tells the event from others of its generation.
struct BackupHint {
  bool present = false;
  std::string suffix;
};

// `what`: created, updated, suspended, resumed, deleted. The event's id is "<tenant>.<generation><suffix>" under source
// "leasehold-gateway", so that a relay that died after publishing does no harm. It bears the thread's trace.
absl::Status Enqueue(postgres::Transaction& tx, const rows::TenantRow& tenant, std::string_view what, absl::Time now,
                     const BackupHint& backup = {});

struct OutboxEvent {
  int64_t id = 0;
  events::Encoded event;
};

// Up to `limit` events, oldest first; empty also if another gateway is at it. They are this transaction's until it
// ends.
absl::StatusOr<std::vector<OutboxEvent>> TakeBatch(postgres::Transaction& tx, int limit);

// The stream has stored all of the batch up to this one.
absl::Status RemoveUpTo(postgres::Transaction& tx, const std::vector<OutboxEvent>& batch, size_t count);

struct OutboxDepth {
  int64_t events = 0;
  absl::Time oldest = absl::InfiniteFuture();  // when it was written
};
absl::StatusOr<OutboxDepth> MeasureOutbox(postgres::Transaction& tx);

}  // namespace leasehold::gateway
