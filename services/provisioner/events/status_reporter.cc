#include "services/provisioner/events/status_reporter.h"

#include <algorithm>
#include <format>
#include <string_view>
#include <utility>

#include "absl/time/clock.h"
#include "common/config/config.h"
#include "common/events/events.h"
#include "common/failpoint/failpoint.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "common/telemetry/span.h"
#include "common/telemetry/trace.h"

namespace leasehold::provisioner {
namespace {

constexpr int kBatch = 100;
constexpr absl::Duration kInterval = absl::Seconds(5);
constexpr absl::Duration kRetryMin = absl::Milliseconds(200);
// What was published is marked so much later, together with what came meanwhile: nobody waits for the mark, but tenants
// may wait for the processor.
constexpr absl::Duration kMarkAfter = absl::Seconds(1);
// Attempts in vain before somebody hears of it: after a restart of NATS a stream takes a moment to be there.
constexpr int kPatience = 4;

std::string_view NameOf(v1::ServiceState state) {
  switch (state) {
    case v1::SERVICE_STATE_READY:
      return "ready";
    case v1::SERVICE_STATE_FAILED:
      return "failed";
    case v1::SERVICE_STATE_CLOSED:
      return "closed";
    case v1::SERVICE_STATE_REMOVED:
      return "removed";
    default:
      return "pending";
  }
}

v1::ProvisioningEvent EventOf(const TenantRecord& record, const ServiceName& service) {
  v1::ProvisioningEvent event;
  event.set_tenant(record.id.str());
  v1::ServiceStatus& status = *event.mutable_status();
  status.set_service(service.str());
  status.set_state(record.state);
  status.set_generation(record.state_generation);
  status.set_database(TenantDatabaseName(record.id, service));
  status.set_database_id(record.database_id);
  status.set_message(record.message);
  status.set_attempts(record.attempts);
  if (record.next_attempt_time.has_value()) *status.mutable_next_attempt_time() = FromTime(*record.next_attempt_time);
  *status.mutable_update_time() = FromTime(record.update_time);
  status.set_schema_version(record.schema_version.value_or(0));
  status.set_version(record.status_version);
  return event;
}

}  // namespace

absl::Status PublishBackup(jetstream::Client& client, const ServiceName& service, const std::string& tenant,
                           int64_t version, const v1::BackupStatus& status) {
  v1::EventEnvelope envelope;
  envelope.set_id(std::format("{}.{}.backup.{}", service.str(), status.backup(), version));
  envelope.set_source(std::format("provisioner-{}", service.str()));
  *envelope.mutable_time() = status.update_time();
  v1::ProvisioningEvent event;
  event.set_tenant(tenant);
  *event.mutable_backup() = status;
  const events::Encoded encoded = events::EncodeProvisioningEvent(envelope, "backup", event);
  return client.Publish(encoded.subject, encoded.payload, encoded.headers, encoded.message_id);
}

StatusReporter::StatusReporter(jetstream::Client& client, Records& records, ServiceName service, Metrics& metrics,
                               std::function<void(const absl::Status&)> on_refused)
    : client_(client),
      records_(records),
      service_(std::move(service)),
      metrics_(metrics),
      on_refused_(std::move(on_refused)) {}

StatusReporter::~StatusReporter() { Stop(); }

void StatusReporter::Start() {
  thread_ = std::thread([this] { Run(); });
}

void StatusReporter::Stop() {
  {
    const absl::MutexLock lock(&mu_);
    stopping_ = woken_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void StatusReporter::Wake() {
  const absl::MutexLock lock(&mu_);
  look_ = woken_ = true;
}

void StatusReporter::Report(TenantRecord status) {
  const absl::MutexLock lock(&mu_);
  fresh_.push_back(std::move(status));
  woken_ = true;
}

void StatusReporter::Report(const TenantId& id, const v1::CopyStatus& copy) {
  const absl::MutexLock lock(&mu_);
  copies_.insert_or_assign(id, Copy{.status = copy, .trace = CurrentTrace()});
  woken_ = true;
}

absl::Status StatusReporter::PublishPending() {
  while (true) {
    LH_RETURN_IF_ERROR(Mark());
    LH_ASSIGN_OR_RETURN(const std::vector<TenantRecord> unreported, records_.Unreported(kBatch));
    LH_RETURN_IF_ERROR(PublishAll(unreported));
    if (unreported.size() < kBatch) return Mark();
  }
}

absl::Status StatusReporter::PublishFresh() {
  std::vector<TenantRecord> fresh;
  std::map<TenantId, Copy> copies;
  {
    const absl::MutexLock lock(&mu_);
    fresh.swap(fresh_);
    copies.swap(copies_);
  }
  for (const auto& [id, copy] : copies) {
    LH_RETURN_IF_ERROR(Publish(id, copy));
  }
  return PublishAll(fresh);
}

absl::Status StatusReporter::PublishAll(std::span<const TenantRecord> statuses) {
  for (const TenantRecord& status : statuses) {
    LH_FAILPOINT("before publishing a status");
    LH_RETURN_IF_ERROR(Publish(status));
    LH_FAILPOINT("after publishing a status");
    if (published_.empty()) mark_time_ = absl::Now() + kMarkAfter;
    published_.push_back(status);
  }
  return absl::OkStatus();
}

absl::Status StatusReporter::Mark() {
  // What is marked twice or not at all does no harm: the stream knows it by its message id.
  LH_RETURN_IF_ERROR(records_.MarkReported(published_));
  published_.clear();
  mark_time_ = absl::InfiniteFuture();
  return absl::OkStatus();
}

absl::Status StatusReporter::Publish(const TenantRecord& record) {
  const std::string_view what = NameOf(record.state);
  v1::EventEnvelope envelope;
  // The same status twice is the same message, so that the stream drops what a crash made us publish again.
  envelope.set_id(std::format("{}.{}.{}.{}.{}", service_.str(), record.id.str(), record.state_generation, what,
                              record.status_version));
  envelope.set_source(std::format("provisioner-{}", service_.str()));
  envelope.set_type(std::format("leasehold.provisioning.{}.v1", what));
  envelope.set_subject(record.id.str());
  *envelope.mutable_time() = FromTime(record.update_time);
  const TraceScope scope(ParseTraceparent(record.traceparent));
  Span span("publish status", SpanKind::kProducer, {{"tenant", record.id.str()}, {"state", what}});
  envelope.set_traceparent(ToTraceparent(CurrentTrace()));
  const events::Encoded encoded = events::EncodeProvisioningEvent(envelope, what, EventOf(record, service_));
  LH_RETURN_IF_ERROR(span.Note(client_.Publish(encoded.subject, encoded.payload, encoded.headers, encoded.message_id)));
  Log(Level::kDebug, "status published", {{"subject", encoded.subject}, {"id", encoded.message_id}});
  return absl::OkStatus();
}

absl::Status StatusReporter::Publish(const TenantId& id, const Copy& told) {
  const TraceScope scope(told.trace);
  const v1::CopyStatus& copy = told.status;
  const absl::Time now = absl::Now();
  v1::EventEnvelope envelope;
  envelope.set_id(
      std::format("{}.{}.{}.copying.{}", service_.str(), id.str(), copy.generation(), absl::ToUnixMicros(now)));
  envelope.set_source(std::format("provisioner-{}", service_.str()));
  *envelope.mutable_time() = FromTime(now);
  v1::ProvisioningEvent event;
  event.set_tenant(id.str());
  *event.mutable_copy() = copy;
  const events::Encoded encoded = events::EncodeProvisioningEvent(envelope, "copying", event);
  return client_.Publish(encoded.subject, encoded.payload, encoded.headers, encoded.message_id);
}

void StatusReporter::CountTenants() {
  const auto counts = records_.CountByState();
  if (!counts.ok()) return;
  for (const auto& [state, count] : *counts) {
    metrics_
        .Gauge("leasehold_provisioner_tenants", "Tenants by what was made of them",
               {{"state", std::string(NameOf(state))}})
        .Set(static_cast<double>(count));
  }
}

// An instance or a NATS that is away is told of elsewhere.
void StatusReporter::NoteAttempt(const absl::Status& status) {
  if (status.ok()) {
    if (std::exchange(refusals_, 0) < kPatience) return;
    Log(Level::kInfo, "statuses are reported again");
    if (on_refused_) on_refused_(absl::OkStatus());
    return;
  }
  if (postgres::IsConnectionFailure(status) || !client_.connected() || ++refusals_ < kPatience) return;
  if (refusals_ == kPatience) {
    Log(Level::kWarning, "statuses cannot be reported; trying on", {{"error", StdView(status.message())}});
  }
  if (on_refused_) {
    on_refused_(Error(v1::REASON_NATS_UNAVAILABLE,
                      "what it has done cannot be reported, and tenants seem to wait for it: JetStream does not take "
                      "it, its disk may be full"));
  }
}

void StatusReporter::Run() {
  Backoff backoff(kRetryMin, kInterval);
  int failures = 0;
  bool look = true;
  absl::Time looked = absl::InfinitePast();
  absl::Time counted = absl::InfinitePast();
  while (true) {
    absl::Status status = PublishFresh();
    if (look || !status.ok()) {
      // What could not be published stands in the records.
      status = PublishPending();
      looked = absl::Now();
    } else if (absl::Now() >= mark_time_) {
      status = Mark();
    }
    NoteAttempt(status);
    failures = status.ok() ? 0 : failures + 1;
    if (absl::Now() - counted >= kInterval) {
      CountTenants();
      counted = absl::Now();
    }
    const absl::Time next = std::min(looked + kInterval, mark_time_);
    const absl::MutexLock lock(&mu_);
    // After a failure also when woken: whoever finishes tenants meanwhile must not turn the wait into a spin.
    const bool* until = status.ok() ? &woken_ : &stopping_;
    mu_.AwaitWithTimeout(absl::Condition(until), status.ok() ? next - absl::Now() : backoff.Wait(failures));
    look = look_ || !status.ok() || absl::Now() >= looked + kInterval;
    look_ = woken_ = false;
    if (stopping_) return;
  }
}

}  // namespace leasehold::provisioner
