#include "services/gateway/audit/trail.h"

#include <unistd.h>

#include <array>
#include <format>
#include <optional>
#include <utility>
#include <vector>

#include "common/clock/clock.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/gateway/audit/tampered.h"

namespace leasehold::gateway {
namespace {

constexpr absl::Duration kMinBackoff = absl::Milliseconds(100);
constexpr absl::Duration kMaxBackoff = absl::Seconds(2);
constexpr int kPublishedAtOnce = 50;

jetstream::StreamOptions AuditStream(int replicas, absl::Duration retention) {
  jetstream::StreamOptions options;
  options.name = "AUDIT";
  options.subjects = {"audit.>"};
  options.replicas = replicas;
  options.max_age = retention;
  return options;
}

}  // namespace

AuditTrail::AuditTrail(Options options, AuditRecorder& recorder, jetstream::Client& nats, Metrics& metrics)
    : options_(std::move(options)),
      recorder_(recorder),
      nats_(nats),
      stored_(metrics.Counter("leasehold_audit_events_total", "Events that this gateway has stored in the trail")),
      tampered_(TamperedCounter(metrics)),
      waiting_(metrics.Gauge("leasehold_audit_buffered", "Events that are not stored yet")),
      published_(metrics.Gauge("leasehold_audit_published_record",
                               "The newest record that this gateway has carried to the stream AUDIT")),
      table_(options_.registry),
      outlet_(options_.registry) {}

AuditTrail::~AuditTrail() { Stop(); }

void AuditTrail::Start() {
  if (!recorder_.on()) return;
  writer_ = std::thread([this] { Write(); });
  publisher_ = std::thread([this] { Publish(); });
}

void AuditTrail::Stop() {
  recorder_.buffer().Close();
  if (!writer_.joinable()) return;
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  writer_.join();
  {
    absl::MutexLock lock(&mu_);
    writer_over_ = true;
  }
  publisher_.join();
}

bool AuditTrail::Pause(absl::Duration wait) {
  absl::MutexLock lock(&mu_);
  return !mu_.AwaitWithTimeout(absl::Condition(&stopping_), wait);
}

void AuditTrail::Write() {
  AuditBuffer& buffer = recorder_.buffer();
  Backoff backoff(kMinBackoff, kMaxBackoff);
  int failures = 0;
  std::optional<AuditBuffer::Batch> batch;
  absl::Time give_up = absl::InfiniteFuture();
  while (true) {
    if (!batch) batch = buffer.Take(absl::Seconds(1), options_.gather);
    waiting_.Set(static_cast<double>(buffer.size()));
    if (buffer.closed() && give_up == absl::InfiniteFuture()) give_up = absl::Now() + options_.patience;
    if (!batch) {
      if (buffer.closed()) return;
      continue;
    }
    const absl::Status status = Store(*batch);
    if (status.ok()) {
      if (failures > 1) Log(Level::kInfo, "audit events are stored again");
      failures = 0;
      for (AuditBuffer::Stored& stored : batch->stored) stored(absl::OkStatus());
      buffer.Done(*batch);
      batch.reset();
      continue;
    }
    // At the start the table may not be there yet, and later a connection may have broken: that is no news.
    if (++failures == 2) {
      Log(Level::kWarning, "audit events cannot be stored, trying on",
          {{"error", StdView(status.message())}, {"events", std::to_string(buffer.size())}});
    }
    const absl::Status why =
        Error(v1::REASON_AUDIT_UNAVAILABLE, "the call was carried out, but its audit event is not stored yet");
    for (AuditBuffer::Stored& stored : std::exchange(batch->stored, {})) stored(why);
    buffer.TellWaiting(why);
    if (absl::Now() >= give_up) {
      Log(Level::kError, "audit events are lost: they could not be stored before the end",
          {{"events", std::to_string(buffer.size())}});
      return;
    }
    Pause(buffer.closed() ? kMinBackoff : backoff.Wait(failures));
  }
}

absl::Status AuditTrail::Store(AuditBuffer::Batch& batch) {
  if (!options_.prepared()) return Error(v1::REASON_REGISTRY_UNAVAILABLE, "the registry is not prepared yet");
  LH_ASSIGN_OR_RETURN(Appended appended, Append(table_, options_.gateway, batch, head_));
  if (appended.tampered) {
    tampered_.Increment();
    Log(Level::kError, "somebody has changed the audit trail: its newest record is not what this gateway had written",
        {{"record", std::to_string(head_.number)}});
  }
  head_ = std::move(appended.head);
  if (!appended.previous.empty()) {
    v1::AuditRecord record;
    record.set_number(head_.number);
    record.set_gateway(options_.gateway);
    record.set_events(std::move(batch.lines));
    record.set_previous(std::move(appended.previous));
    record.set_hash(head_.hash);
    recent_.Add(std::move(record));
  }
  stored_.Increment(static_cast<double>(batch.events));
  absl::MutexLock lock(&mu_);
  written_ = true;
  return absl::OkStatus();
}

void AuditTrail::Publish() {
  Backoff backoff(kMinBackoff, kMaxBackoff);
  int failures = 0;
  while (true) {
    bool over = false;
    {
      absl::MutexLock lock(&mu_);
      const auto due = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return writer_over_ || (written_ && !stopping_); };
      mu_.AwaitWithTimeout(absl::Condition(&due), failures == 0 ? options_.tick : backoff.Wait(failures));
      written_ = false;
      over = writer_over_;
    }
    const absl::Status status = Carry();
    if (over) return;
    failures = status.ok() ? 0 : failures + 1;
    if (failures == 2) {
      Log(Level::kWarning, "audit records cannot be published, trying on", {{"error", StdView(status.message())}});
    }
    absl::MutexLock lock(&mu_);
    mu_.AwaitWithTimeout(absl::Condition(&writer_over_), options_.pace);
  }
}

absl::Status AuditTrail::Carry() {
  if (!nats_.connected()) return Error(v1::REASON_NATS_UNAVAILABLE, "NATS does not answer");
  if (!stream_ensured_) {
    LH_RETURN_IF_ERROR(nats_.EnsureStream(AuditStream(options_.replicas, options_.stream_retention)));
    stream_ensured_ = true;
  }
  if (!options_.prepared()) return absl::OkStatus();
  for (bool more = true; more;) LH_RETURN_IF_ERROR(CarrySome(more));
  return absl::OkStatus();
}

absl::Status AuditTrail::CarrySome(bool& more) {
  more = false;
  absl::Status published;
  const absl::Status done = outlet_.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(const std::optional<int64_t> first, FirstUnpublished(tx));
    if (!first) return absl::OkStatus();
    std::vector<v1::AuditRecord> records = recent_.Take(*first, kPublishedAtOnce);
    if (records.empty()) {
      LH_ASSIGN_OR_RETURN(records, ReadRecords(tx, *first, kPublishedAtOnce));
    }
    more = records.size() == kPublishedAtOnce;
    int64_t newest = 0;
    for (v1::AuditRecord& record : records) {
      published = nats_.Publish("audit.records", record.events(),
                                {{"Leasehold-Number", std::to_string(record.number())},
                                 {"Leasehold-Gateway", record.gateway()},
                                 {"Leasehold-Previous", Hex(record.previous())},
                                 {"Leasehold-Hash", Hex(record.hash())}},
                                std::format("audit-{}", record.number()));
      if (!published.ok()) break;
      newest = record.number();
      recorder_.buffer().Recycle(std::move(*record.mutable_events()));
    }
    if (newest == 0) return absl::OkStatus();
    published_.Set(static_cast<double>(newest));
    return MarkPublished(tx, newest);
  });
  LH_RETURN_IF_ERROR(done);
  if (!published.ok()) stream_ensured_ = false;  // it may be the stream that is missing
  return published;
}

std::string AuditGatewayName() {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return std::format("{}/{}", Printable(host.data(), 64), RandomHex(4));
}

}  // namespace leasehold::gateway
