#include "services/gateway/registry/relay.h"

#include <utility>
#include <vector>

#include "common/failpoint/failpoint.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "common/telemetry/span.h"
#include "common/telemetry/trace.h"
#include "services/gateway/registry/outbox.h"

namespace leasehold::gateway {
namespace {

constexpr int kBatch = 100;
constexpr absl::Duration kMinBackoff = absl::Milliseconds(250);
constexpr absl::Duration kMaxBackoff = absl::Seconds(10);

}  // namespace

OutboxRelay::OutboxRelay(Options options, jetstream::Client& nats, Health& health)
    : options_(std::move(options)), nats_(nats), health_(health), connection_(options_.postgres), thread_([this] {
        Run();
      }) {}

OutboxRelay::~OutboxRelay() {
  pulse_.Stop();
  thread_.join();
}

void OutboxRelay::Begin() {
  if (!begun_.exchange(true)) pulse_.Wake();
}

void OutboxRelay::Run() {
  Backoff backoff(kMinBackoff, kMaxBackoff);
  int failures = 0;
  do {
    const absl::Status streams = EnsureStreams();
    Report(streams);
    const absl::Status status = streams.ok() && begun_ ? Drain() : streams;
    failures = status.ok() ? 0 : failures + 1;
  } while (pulse_.Wait(failures == 0 ? options_.tick : backoff.Wait(failures)));
}

absl::Status OutboxRelay::EnsureStreams() {
  if (!nats_.connected()) {
    streams_ensured_ = false;
    return Error(v1::REASON_NATS_UNAVAILABLE, "NATS does not answer");
  }
  if (streams_ensured_) return absl::OkStatus();
  LH_RETURN_IF_ERROR(nats_.EnsureStream(jetstream::TenantsStream(options_.replicas)));
  LH_RETURN_IF_ERROR(nats_.EnsureStream(jetstream::ProvisioningStream(options_.replicas)));
  streams_ensured_ = true;
  return absl::OkStatus();
}

absl::Status OutboxRelay::Drain() {
  bool more = true;
  while (more && !pulse_.stopped()) {
    absl::Status published;
    const absl::Status done = connection_.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
      LH_ASSIGN_OR_RETURN(const std::vector<OutboxEvent> batch, TakeBatch(tx, kBatch));
      size_t count = 0;
      for (const auto& [id, event] : batch) {
        const TraceScope scope(jetstream::TraceOf(event.headers));
        Span span("publish event", SpanKind::kProducer, {{"subject", event.subject}});
        published = nats_.Publish(event.subject, event.payload, event.headers, event.message_id);
        if (!span.Note(published).ok()) break;
        LH_FAILPOINT("after publishing an event");
        Log(Level::kDebug, "event published", {{"subject", event.subject}, {"id", event.message_id}});
        ++count;
      }
      more = batch.size() == kBatch;
      return RemoveUpTo(tx, batch, count);
    });
    LH_RETURN_IF_ERROR(done);
    if (!published.ok()) {
      streams_ensured_ = false;  // it may be the stream that is missing
      if (nats_.connected()) {
        Log(Level::kWarning, "an event could not be published; it is tried again",
            {{"error", StdView(published.message())}});
      }
      return published;
    }
  }
  return absl::OkStatus();
}

void OutboxRelay::Report(const absl::Status& status) {
  health_.Set("nats", status);
  if (healthy_ == status.ok()) return;
  healthy_ = status.ok();
  if (status.ok()) {
    Log(Level::kInfo, "NATS answers; the streams are there");
  } else {
    Log(Level::kWarning, "NATS is unavailable; events wait in the outbox", {{"error", StdView(status.message())}});
  }
}

}  // namespace leasehold::gateway
