#include "services/gateway/registry/intake.h"

#include <format>

#include "common/config/config.h"
#include "common/failpoint/failpoint.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "common/telemetry/log.h"
#include "common/telemetry/span.h"
#include "common/telemetry/trace.h"

namespace leasehold::gateway {
namespace {

constexpr std::string_view kTenants = "TENANTS";
constexpr std::string_view kProvisioning = "PROVISIONING";

// A tenant that a report speaks of has this many chances to turn up, 2 s apart.
constexpr uint64_t kUnknownTries = 10;
constexpr absl::Duration kUnknownDelay = absl::Seconds(2);

// By source and id an event is the same event. The blank keeps callers' own request ids away.
RequestKey KeyOf(const events::TenantEvent& event) {
  const std::string name = std::format("{}\n{}\n{}", event.envelope.source(), event.envelope.id(), event.data.id());
  const auto digest = Sha256(name);
  return {.id = "event " + Hex(std::string_view(reinterpret_cast<const char*>(digest.data()), digest.size())),
          .fingerprint = "announced"};
}

}  // namespace

TenantIntake::TenantIntake(Store& store, jetstream::Client& nats, Metrics& metrics, AuditRecorder* audit)
    : store_(store), audit_(audit), disposal_(kTenants, nats, metrics) {}

jetstream::ConsumerOptions TenantIntake::Consumer() { return IntakeConsumer(kTenants, "tenants.>"); }

absl::Status TenantIntake::Handle(jetstream::Message& message) {
  const absl::StatusOr<events::TenantEvent> event =
      events::DecodeTenantEvent(message.subject(), message.headers(), message.payload());
  if (!event.ok()) return disposal_.Park(message, event.status());
  const TraceScope scope(event->trace);
  if (event->data.generation() != 0) return disposal_.Ack(message, "own");
  const Span span("take announcement", SpanKind::kConsumer, {{"subject", message.subject()}});
  if (event->what == "created") return Announced(*event, message);
  return disposal_.Park(message,
                        Error(v1::REASON_MALFORMED_EVENT,
                              std::format("{} without a generation: only the gateway changes a tenant that exists; "
                                          "call TenantService",
                                          event->envelope.type())));
}

absl::Status TenantIntake::Announced(const events::TenantEvent& event, jetstream::Message& message) {
  const absl::StatusOr<TenantId> id = TenantId::Parse(event.data.id());
  if (!id.ok()) return disposal_.Park(message, id.status());
  const NewTenant tenant{.id = *id,
                         .name = event.data.name(),
                         .domain = event.data.domain(),
                         .settings = event.data.settings(),
                         .active = !event.data.has_is_active() || event.data.is_active()};
  const absl::Status status = store_.Create(tenant, KeyOf(event)).status();
  LH_FAILPOINT("before acknowledging an announcement");
  if (ReasonOf(status) == v1::REASON_TENANT_EXISTS) return Exists(*id, message);
  if (ClientSafe(status) && !MustWait(status)) {
    // Who says that it comes from there need not prove it.
    if (audit_ != nullptr) {
      const std::string trace_id = TraceId(event.trace);
      audit_->Record({.action = v1::AUDIT_ACTION_TENANT_EVENT,
                      .outcome = ReasonOf(status),
                      .holder = event.envelope.source(),
                      .trace_id = trace_id,
                      .tenant = id->str(),
                      .subject = event.envelope.id(),
                      .detail = event.envelope.type()});
    }
    return status.ok() ? disposal_.Ack(message, "created") : Refuse(*id, status, message);
  }
  return disposal_.Failed(message, status);
}

absl::Status TenantIntake::Exists(const TenantId& id, jetstream::Message& message) {
  const absl::StatusOr<v1::Tenant> tenant = store_.Get(id);
  const bool purged = ReasonOf(tenant.status()) == v1::REASON_TENANT_NOT_FOUND;  // since a moment ago
  if (!tenant.ok() && !purged) return disposal_.Failed(message, tenant.status());
  if (purged || tenant->state() == v1::TENANT_STATE_PURGING) {
    return disposal_.Later(message, RetryDelay(message.deliveries()));
  }
  if (tenant->state() != v1::TENANT_STATE_DELETED) return disposal_.Ack(message, "present");
  // Waiting would make a new tenant days from now, when its retention is over; that is for a person to decide.
  return disposal_.Park(
      message,
      Error(v1::REASON_TENANT_DELETED,
            std::format("tenant {} is deleted, and its id is free once its data is dropped, after {}", id.str(),
                        absl::FormatTime(absl::RFC3339_sec, ToTime(tenant->purge_time()), absl::UTCTimeZone()))));
}

absl::Status TenantIntake::Refuse(const TenantId& id, const absl::Status& reason, jetstream::Message& message) {
  const absl::Status refused = store_.Refuse(id);
  return refused.ok() ? disposal_.Park(message, reason) : disposal_.Failed(message, refused);
}

ReportIntake::ReportIntake(Store& store, jetstream::Client& nats, Metrics& metrics)
    : store_(store), disposal_(kProvisioning, nats, metrics) {}

jetstream::ConsumerOptions ReportIntake::Consumer() {
  // Not what is parked: provisioning.dead.<consumer>.
  return IntakeConsumer(kProvisioning, "provisioning.*.*.*");
}

absl::StatusOr<bool> ReportIntake::Apply(const TenantId& id, const v1::ProvisioningEvent& event) {
  if (event.has_copy()) return store_.ReportCopy(id, event.copy());
  if (!event.has_backup()) return store_.Report(id, event.status());
  LH_ASSIGN_OR_RETURN(const OperationId backup, OperationId::Parse(event.backup().backup()));
  if (backup.tenant != id) return InvalidField("backup", event.backup().backup(), "a backup of the event's tenant");
  return store_.ReportBackup(backup, event.backup());
}

absl::Status ReportIntake::Handle(jetstream::Message& message) {
  const TraceScope scope(jetstream::TraceOf(message.headers()));
  const Span span("take report", SpanKind::kConsumer, {{"subject", message.subject()}});
  const absl::StatusOr<v1::ProvisioningEvent> event =
      events::DecodeProvisioningEvent(message.subject(), message.headers(), message.payload());
  if (!event.ok()) return disposal_.Park(message, event.status());
  const absl::StatusOr<TenantId> id = TenantId::Parse(event->tenant());
  if (!id.ok()) return disposal_.Park(message, id.status());
  const absl::StatusOr<bool> changed = Apply(*id, *event);
  LH_FAILPOINT("before acknowledging a status");
  if (changed.ok()) {
    Log(Level::kDebug, "report taken", {{"subject", message.subject()}, {"outcome", *changed ? "applied" : "stale"}});
    return disposal_.Ack(message, *changed ? "applied" : "stale");
  }
  if (ReasonOf(changed.status()) == v1::REASON_BACKUP_NOT_FOUND) return disposal_.Drop(message, "unknown");
  if (ReasonOf(changed.status()) != v1::REASON_TENANT_NOT_FOUND) return disposal_.Failed(message, changed.status());
  if (message.deliveries() < kUnknownTries) return disposal_.Later(message, kUnknownDelay);
  Log(Level::kWarning, "report on a tenant that the registry does not know",
      {{"tenant", id->str()}, {"service", event->status().service()}});
  return disposal_.Drop(message, "unknown");
}

}  // namespace leasehold::gateway
