#include "services/gateway/registry/disposal.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "common/events/events.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"

namespace leasehold::gateway {
namespace {

// So often is a message tried that fails for no reason we know, before it is parked.
constexpr uint64_t kDefectTries = 10;

}  // namespace

jetstream::ConsumerOptions IntakeConsumer(std::string_view stream, std::string_view filter_subject) {
  jetstream::ConsumerOptions options;
  options.stream = stream;
  options.durable = kIntakeName;
  options.filter_subject = filter_subject;
  return options;
}

absl::Duration RetryDelay(uint64_t deliveries) {
  return std::min(absl::Milliseconds(500) * static_cast<int64_t>(deliveries), absl::Seconds(10));
}

bool MustWait(const absl::Status& status) {
  const Reason reason = ReasonOf(status);
  return reason == v1::REASON_REGISTRY_UNAVAILABLE || reason == v1::REASON_AUDIT_UNAVAILABLE;
}

Disposal::Disposal(std::string_view stream, jetstream::Client& nats, Metrics& metrics)
    : stream_(stream),
      nats_(nats),
      metrics_(metrics),
      intake_(metrics, stream_),
      parked_(metrics.Counter("leasehold_events_parked_total", "Messages parked on provisioning.dead.registry")) {}

void Disposal::Count(const std::string& outcome) {
  metrics_
      .Counter("leasehold_events_total", "Messages that the registry took from JetStream",
               {{"stream", stream_}, {"outcome", outcome}})
      .Increment();
}

absl::Status Disposal::Ack(jetstream::Message& message, const std::string& outcome) {
  message.Ack();
  intake_.Settled(message, absl::Now());
  Count(outcome);
  return absl::OkStatus();
}

absl::Status Disposal::Drop(jetstream::Message& message, const std::string& outcome) {
  message.Term();
  intake_.Settled(message, absl::Now());
  Count(outcome);
  return absl::OkStatus();
}

absl::Status Disposal::Later(jetstream::Message& message, absl::Duration delay) {
  message.Nak(delay);
  intake_.Postponed(message);
  Count("retried");
  return absl::OkStatus();
}

absl::Status Disposal::Park(jetstream::Message& message, const absl::Status& reason) {
  Log(Level::kWarning, "event parked",
      {{"subject", Printable(message.subject())},
       {"sequence", std::to_string(message.stream_sequence())},
       {"reason", ClientText(reason)}});
  if (absl::Status parked = events::Park(nats_, kIntakeName, stream_, reason, message); !parked.ok()) {
    intake_.Postponed(message);
    return parked;
  }
  intake_.Settled(message, absl::Now());
  Count("parked");
  parked_.Increment();
  return absl::OkStatus();
}

absl::Status Disposal::Failed(jetstream::Message& message, const absl::Status& status) {
  if (!MustWait(status) && (ClientSafe(status) || message.deliveries() >= kDefectTries)) return Park(message, status);
  (void)Later(message, RetryDelay(message.deliveries()));
  return status;
}

}  // namespace leasehold::gateway
