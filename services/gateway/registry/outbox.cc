#include "services/gateway/registry/outbox.h"

#include <format>

#include "common/config/config.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "common/telemetry/trace.h"

namespace leasehold::gateway {
namespace {

constexpr std::string_view kSource = "leasehold-gateway";
constexpr size_t kMessageIdBytes = 8;

// Any number that nothing else in this database locks.
constexpr std::string_view kTryLock = "SELECT pg_try_advisory_xact_lock(7450000002)";

}  // namespace

absl::Status Enqueue(postgres::Transaction& tx, const rows::TenantRow& tenant, std::string_view what, absl::Time now,
                     const BackupHint& backup) {
  v1::EventEnvelope envelope;
  envelope.set_id(rows::OperationId(tenant.id, tenant.standing.generation) + backup.suffix);
  envelope.set_source(std::string(kSource));
  envelope.set_type(std::format("{}{}.v1", events::kTypePrefix, what));
  envelope.set_subject(tenant.id);
  *envelope.mutable_time() = FromTime(now);
  envelope.set_traceparent(ToTraceparent(CurrentTrace()));

  v1::TenantEvent data;
  data.set_id(tenant.id);
  data.set_name(tenant.name);
  data.set_domain(tenant.domain);
  data.set_is_active(tenant.standing.desired == v1::DESIRED_STATE_PRESENT);
  *data.mutable_settings() = tenant.settings;
  data.set_generation(tenant.standing.generation);
  data.set_desired(tenant.standing.desired);
  data.set_create_generation(tenant.standing.create_generation);
  if (const auto origin = rows::OriginOf(tenant.standing.origin)) *data.mutable_origin() = *origin;
  data.set_backup(backup.present);

  const events::Encoded event = events::EncodeTenantEvent(envelope, what, data);
  Settings headers;
  for (const auto& [name, value] : event.headers) headers[name] = value;
  // JetStream drops a message whose Nats-Msg-Id it has seen: one that can be guessed could be used up by whoever may
  // announce tenants. An event is published under the one that its row keeps.
  LH_RETURN_IF_ERROR(
      tx.Exec("INSERT INTO leasehold.outbox (subject, headers, payload, message_id, create_time)"
              " VALUES ($1, $2::jsonb, $3::bytea, $4, $5)",
              {event.subject, rows::Json(headers), rows::Bytea(event.payload),
               std::format("{}/{}/{}", kSource, envelope.id(), RandomHex(kMessageIdBytes)), rows::Time(now)})
          .status());
  return tx.Exec("SELECT pg_notify($1, '')", {std::string(kOutboxChannel)}).status();
}

absl::StatusOr<std::vector<OutboxEvent>> TakeBatch(postgres::Transaction& tx, int limit) {
  std::vector<OutboxEvent> batch;
  LH_ASSIGN_OR_RETURN(const pqxx::result mine, tx.Exec(kTryLock));
  if (!mine[0][0].as<bool>()) return batch;
  LH_ASSIGN_OR_RETURN(const pqxx::result found,
                      tx.Exec("SELECT id, subject, headers::text, payload::text, message_id FROM leasehold.outbox"
                              " ORDER BY id LIMIT $1",
                              {std::to_string(limit)}));
  for (const pqxx::row& row : found) {
    OutboxEvent next;
    next.id = row[0].as<int64_t>();
    next.event.subject = row[1].as<std::string>();
    LH_ASSIGN_OR_RETURN(const Settings headers, rows::SettingsFromJson(row[2].as<std::string>()));
    for (const auto& [name, value] : headers) next.event.headers[name] = value;
    LH_ASSIGN_OR_RETURN(next.event.payload, rows::FromBytea(row[3].as<std::string>()));
    next.event.message_id = row[4].as<std::string>();
    batch.push_back(std::move(next));
  }
  return batch;
}

absl::Status RemoveUpTo(postgres::Transaction& tx, const std::vector<OutboxEvent>& batch, size_t count) {
  if (count == 0) return absl::OkStatus();
  std::string ids = "{";
  for (size_t i = 0; i < count; ++i) ids += std::format("{}{}", i == 0 ? "" : ",", batch[i].id);
  // By id and not by range: a smaller id can be committed after a larger one was read.
  return tx.Exec("DELETE FROM leasehold.outbox WHERE id = ANY ($1::bigint[])", {ids + "}"}).status();
}

absl::StatusOr<OutboxDepth> MeasureOutbox(postgres::Transaction& tx) {
  LH_ASSIGN_OR_RETURN(
      const pqxx::result found,
      tx.Exec("SELECT count(*), (extract(epoch FROM min(create_time)) * 1000000)::bigint FROM leasehold.outbox"));
  OutboxDepth depth{.events = found[0][0].as<int64_t>()};
  if (!found[0][1].is_null()) depth.oldest = absl::FromUnixMicros(found[0][1].as<int64_t>());
  return depth;
}

}  // namespace leasehold::gateway
