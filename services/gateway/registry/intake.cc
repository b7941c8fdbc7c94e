#include "services/gateway/registry/intake.h"

#include <algorithm>
#include <format>

#include "common/events/events.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"

namespace leasehold::gateway {
namespace {

constexpr std::string_view kTenants = "TENANTS";
constexpr std::string_view kProvisioning = "PROVISIONING";

// A tenant that a report speaks of has this many chances to turn up, 2 s apart.
constexpr uint64_t kUnknownTries = 10;
constexpr absl::Duration kUnknownDelay = absl::Seconds(2);

// So often is a message tried that fails for no reason we know, before it is parked.
constexpr uint64_t kDefectTries = 10;

absl::Duration RetryDelay(uint64_t deliveries) {
  return std::min(absl::Milliseconds(500) * static_cast<int64_t>(deliveries), absl::Seconds(10));
}

prometheus::Counter& Outcome(Metrics& metrics, std::string_view stream, const std::string& outcome) {
  return metrics.Counter("leasehold_events_total", "Messages that the registry took from JetStream",
                         {{"stream", std::string(stream)}, {"outcome", outcome}});
}

prometheus::Counter& ParkedTotal(Metrics& metrics) {
  return metrics.Counter("leasehold_events_parked_total", "Messages parked on provisioning.dead.registry");
}

// Parks; if NATS does not take it, it comes again.
absl::Status ParkMessage(jetstream::Client& nats, std::string_view stream, const absl::Status& reason,
                         jetstream::Message& message) {
  Log(Level::kWarning, "event parked",
      {{"subject", Printable(message.subject())},
       {"sequence", std::to_string(message.stream_sequence())},
       {"reason", ClientText(reason)}});
  return events::Park(nats, kIntakeName, stream, reason, message);
}

bool MustWait(const absl::Status& status) { return ReasonOf(status) == v1::REASON_REGISTRY_UNAVAILABLE; }

}  // namespace

TenantIntake::TenantIntake(Store& store, jetstream::Client& nats, Metrics& metrics)
    : store_(store),
      nats_(nats),
      created_(Outcome(metrics, kTenants, "created")),
      present_(Outcome(metrics, kTenants, "present")),
      own_(Outcome(metrics, kTenants, "own")),
      retried_(Outcome(metrics, kTenants, "retried")),
      parked_(Outcome(metrics, kTenants, "parked")),
      parked_total_(ParkedTotal(metrics)) {}

jetstream::ConsumerOptions TenantIntake::Consumer() {
  jetstream::ConsumerOptions options;
  options.stream = kTenants;
  options.durable = kIntakeName;
  options.filter_subject = "tenants.>";
  return options;
}

absl::Status TenantIntake::Park(jetstream::Message& message, const absl::Status& reason) {
  LH_RETURN_IF_ERROR(ParkMessage(nats_, kTenants, reason, message));
  parked_.Increment();
  parked_total_.Increment();
  return absl::OkStatus();
}

absl::Status TenantIntake::Handle(jetstream::Message& message) {
  const absl::StatusOr<events::TenantEvent> event =
      events::DecodeTenantEvent(message.subject(), message.headers(), message.payload());
  if (!event.ok()) return Park(message, event.status());
  if (event->data.generation() != 0) {
    message.Ack();
    own_.Increment();
    return absl::OkStatus();
  }
  if (event->what != "created") {
    return Park(message,
                Error(v1::REASON_MALFORMED_EVENT,
                      std::format("{} without a generation: only the gateway changes a tenant that exists; call "
                                  "TenantService",
                                  event->envelope.type())));
  }
  const absl::StatusOr<TenantId> id = TenantId::Parse(event->data.id());
  if (!id.ok()) return Park(message, id.status());
  const NewTenant tenant{.id = *id,
                         .name = event->data.name(),
                         .domain = event->data.domain(),
                         .settings = event->data.settings(),
                         .active = !event->data.has_is_active() || event->data.is_active()};
  const absl::Status status = store_.Create(tenant).status();
  if (status.ok() || ReasonOf(status) == v1::REASON_TENANT_EXISTS) {
    message.Ack();
    (status.ok() ? created_ : present_).Increment();
    return absl::OkStatus();
  }
  if (MustWait(status) || (!ClientSafe(status) && message.deliveries() < kDefectTries)) {
    message.Nak(RetryDelay(message.deliveries()));
    retried_.Increment();
    return status;
  }
  return Park(message, status);
}

ReportIntake::ReportIntake(Store& store, jetstream::Client& nats, Metrics& metrics)
    : store_(store),
      nats_(nats),
      applied_(Outcome(metrics, kProvisioning, "applied")),
      stale_(Outcome(metrics, kProvisioning, "stale")),
      unknown_(Outcome(metrics, kProvisioning, "unknown")),
      retried_(Outcome(metrics, kProvisioning, "retried")),
      parked_(Outcome(metrics, kProvisioning, "parked")),
      parked_total_(ParkedTotal(metrics)) {}

jetstream::ConsumerOptions ReportIntake::Consumer() {
  jetstream::ConsumerOptions options;
  options.stream = kProvisioning;
  options.durable = kIntakeName;
  options.filter_subject = "provisioning.*.*.*";  // not what is parked: provisioning.dead.<consumer>
  return options;
}

absl::Status ReportIntake::Park(jetstream::Message& message, const absl::Status& reason) {
  LH_RETURN_IF_ERROR(ParkMessage(nats_, kProvisioning, reason, message));
  parked_.Increment();
  parked_total_.Increment();
  return absl::OkStatus();
}

absl::Status ReportIntake::Handle(jetstream::Message& message) {
  const absl::StatusOr<v1::ProvisioningEvent> event =
      events::DecodeProvisioningEvent(message.subject(), message.headers(), message.payload());
  if (!event.ok()) return Park(message, event.status());
  const absl::StatusOr<TenantId> id = TenantId::Parse(event->tenant());
  if (!id.ok()) return Park(message, id.status());
  const absl::StatusOr<bool> changed = store_.Report(*id, event->status());
  if (changed.ok()) {
    message.Ack();
    (*changed ? applied_ : stale_).Increment();
    return absl::OkStatus();
  }
  if (ReasonOf(changed.status()) == v1::REASON_TENANT_NOT_FOUND) {
    if (message.deliveries() < kUnknownTries) {
      message.Nak(kUnknownDelay);
      retried_.Increment();
      return absl::OkStatus();
    }
    message.Term();
    unknown_.Increment();
    Log(Level::kWarning, "report on a tenant that the registry does not know",
        {{"tenant", id->str()}, {"service", event->status().service()}});
    return absl::OkStatus();
  }
  if (MustWait(changed.status()) || (!ClientSafe(changed.status()) && message.deliveries() < kDefectTries)) {
    message.Nak(RetryDelay(message.deliveries()));
    retried_.Increment();
    return changed.status();
  }
  return Park(message, changed.status());
}

}  // namespace leasehold::gateway
