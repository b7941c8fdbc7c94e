#include "services/provisioner/events/tenant_events.h"

#include <algorithm>
#include <format>
#include <utility>

#include "absl/time/clock.h"
#include "common/events/tenant_consumer.h"
#include "common/failpoint/failpoint.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "common/telemetry/span.h"
#include "common/telemetry/trace.h"

namespace leasehold::provisioner {
namespace {

constexpr int kBatch = 64;
constexpr absl::Duration kFetchWait = absl::Seconds(1);
constexpr absl::Duration kRetryMin = absl::Milliseconds(100);
constexpr absl::Duration kRetryMax = absl::Seconds(5);
constexpr std::string_view kStream = "TENANTS";

absl::Status Malformed(std::string_view what) { return Error(v1::REASON_MALFORMED_EVENT, what); }

absl::StatusOr<Origin> OriginOf(const v1::TenantEvent& data) {
  if (!data.has_origin()) return Origin();
  const v1::Origin& origin = data.origin();
  if (origin.generation() < 1 || origin.generation() > data.generation()) {
    return Malformed("data.origin.generation lies outside 1 to data.generation");
  }
  if (origin.tenant().empty() == origin.backup().empty())
    return Malformed("data.origin names neither tenant nor backup");
  if (!origin.tenant().empty() && !TenantId::Parse(origin.tenant()).ok()) {
    return Malformed("data.origin.tenant is no tenant's id");
  }
  if (!origin.backup().empty() && !IsBackupId(origin.backup()))
    return Malformed("data.origin.backup is no backup's id");
  return Origin{.tenant = origin.tenant(), .backup = origin.backup(), .generation = origin.generation()};
}

}  // namespace

absl::StatusOr<std::optional<Desire>> DesireOf(const events::TenantEvent& event) {
  const v1::TenantEvent& data = event.data;
  if (data.generation() < 0) return Malformed("data.generation is negative");
  if (data.generation() == 0) {
    if (event.what != "created") return std::nullopt;
    const bool active = !data.has_is_active() || data.is_active();
    return Desire{.state = active ? v1::DESIRED_STATE_PRESENT : v1::DESIRED_STATE_CLOSED,
                  .traceparent = ToTraceparent(event.trace)};
  }
  if (data.desired() == v1::DESIRED_STATE_UNSPECIFIED || !v1::DesiredState_IsValid(data.desired())) {
    return Malformed("data.desired is missing beside data.generation");
  }
  if (data.create_generation() < 0 || data.create_generation() > data.generation()) {
    return Malformed("data.create_generation lies outside 0 to data.generation");
  }
  LH_ASSIGN_OR_RETURN(Origin origin, OriginOf(data));
  return Desire{.generation = data.generation(),
                .state = data.desired(),
                .create_generation = data.create_generation(),
                .origin = std::move(origin),
                .backup = data.backup(),
                .traceparent = ToTraceparent(event.trace)};
}

bool IsHearsay(const events::TenantEvent& event) { return event.what == "created" && event.data.generation() > 1; }

TenantEvents::TenantEvents(jetstream::Client& client, ServiceName service, int replicas, Apply apply,
                           std::function<void()> ask, Metrics& metrics)
    : client_(client),
      service_(std::move(service)),
      replicas_(replicas),
      apply_(std::move(apply)),
      ask_(std::move(ask)),
      intake_(metrics, std::string(kStream)),
      handled_(metrics.Counter("leasehold_events_handled_total", "Tenant events that were understood and recorded")),
      parked_(metrics.Counter("leasehold_events_parked_total", "Tenant events that could not be understood")) {}

TenantEvents::~TenantEvents() { Stop(); }

void TenantEvents::Start() {
  thread_ = std::thread([this] { Run(); });
}

void TenantEvents::Stop() {
  if (!stop_.HasBeenNotified()) stop_.Notify();
  if (thread_.joinable()) thread_.join();
}

void TenantEvents::Run() {
  Backoff backoff(kRetryMin, kRetryMax);
  int failures = 0;
  while (!stop_.HasBeenNotified()) {
    const absl::Status status = FetchSome();
    if (status.ok()) {
      failures = 0;
    } else {
      Log(Level::kDebug, "events cannot be taken now", {{"error", ClientText(status)}});
      stop_.WaitForNotificationWithTimeout(backoff.Wait(++failures));
    }
  }
}

absl::Status TenantEvents::FetchSome() {
  if (consumer_ == nullptr) {
    LH_RETURN_IF_ERROR(client_.EnsureStream(jetstream::TenantsStream(replicas_)));
    LH_RETURN_IF_ERROR(client_.EnsureStream(jetstream::ProvisioningStream(replicas_)));
    LH_ASSIGN_OR_RETURN(consumer_, client_.Subscribe(events::TenantConsumer(service_.str())));
  }
  LH_ASSIGN_OR_RETURN(auto messages, consumer_->Fetch(kBatch, kFetchWait));
  absl::Status status;
  for (const auto& message : messages) {
    if (stop_.HasBeenNotified()) break;
    const absl::Status handled = Handle(*message);
    if (!handled.ok()) status = handled;
  }
  return status;
}

absl::Status TenantEvents::Handle(jetstream::Message& message) {
  const auto event = events::DecodeTenantEvent(message.subject(), message.headers(), message.payload());
  if (!event.ok()) {
    Park(message, event.status());
    return absl::OkStatus();
  }
  const TraceScope scope(event->trace);
  Span span("take event", SpanKind::kConsumer, {{"subject", message.subject()}});
  Log(Level::kDebug, "event taken",
      {{"subject", message.subject()}, {"generation", std::format("{}", event->data.generation())}});
  const absl::StatusOr<TenantId> id = TenantId::Parse(event->data.id());
  const absl::StatusOr<std::optional<Desire>> desire = DesireOf(*event);
  if (!id.ok() || !desire.ok()) {
    Park(message, id.ok() ? desire.status() : id.status());
    return absl::OkStatus();
  }
  if (IsHearsay(*event)) {
    ask_();
  } else if (desire->has_value()) {
    const absl::Status applied = span.Note(apply_(*id, **desire));
    if (!applied.ok()) {
      message.Nak(kRetryMin * static_cast<double>(std::min<uint64_t>(message.deliveries(), 20)));
      intake_.Postponed(message);
      return applied;
    }
  }
  LH_FAILPOINT("before acknowledging an event");
  message.Ack();
  intake_.Settled(message, absl::Now());
  handled_.Increment();
  return absl::OkStatus();
}

void TenantEvents::Park(jetstream::Message& message, const absl::Status& reason) {
  const absl::Status parked = events::Park(client_, service_.str(), kStream, reason, message);
  if (!parked.ok()) {
    Log(Level::kDebug, "a malformed event cannot be parked now", {{"error", ClientText(parked)}});
    intake_.Postponed(message);
    return;
  }
  intake_.Settled(message, absl::Now());
  parked_.Increment();
  Log(Level::kWarning, "event parked",
      {{"subject", Printable(message.subject())},
       {"sequence", std::format("{}", message.stream_sequence())},
       {"reason", ClientText(reason)}});
}

}  // namespace leasehold::provisioner
