#include "services/gateway/lease/replicator.h"

#include <format>
#include <utility>
#include <variant>

#include "common/clock/clock.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/gateway/lease/claims.h"

namespace leasehold::gateway {
namespace {

constexpr std::string_view kRevocationPrefix = "revocation.";
// The largest record has a user name of 1 KiB and a holder and request_id of 128 characters.
constexpr size_t kMaxValue = 4096;

uint64_t RandomNumber() {
  uint8_t bytes[8];
  RandomBytes(bytes);
  uint64_t number = 0;
  for (const uint8_t byte : bytes) number = number << 8 | byte;
  return number | 1;  // 0 means none
}

absl::StatusOr<v1::LeaseRecord> ParseRecord(const std::string& key, std::string_view value) {
  v1::LeaseRecord record;
  if (value.size() > kMaxValue || !record.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
    return absl::InvalidArgumentError("not a LeaseRecord");
  }
  LH_RETURN_IF_ERROR(CheckClaims(record.claims()));
  LH_ASSIGN_OR_RETURN(const LeaseId id, LeaseId::FromBytes(record.claims().id()));
  if (id.str() != key) return absl::InvalidArgumentError("the key is another lease's");
  if (record.state() != v1::LEASE_STATE_ACTIVE && record.state() != v1::LEASE_STATE_RELEASED &&
      record.state() != v1::LEASE_STATE_REVOKED) {
    return absl::InvalidArgumentError("a state that is never stored");
  }
  return record;
}

}  // namespace

LeaseReplicator::LeaseReplicator(jetstream::Client& client, LeaseBook& book, LeaseOutbox& outbox, Options options)
    : client_(client), book_(book), outbox_(outbox), options_(options), writer_(RandomNumber()) {}

LeaseReplicator::~LeaseReplicator() { Stop(); }

void LeaseReplicator::Start() {
  thread_ = std::thread([this] { Run(); });
}

void LeaseReplicator::Stop() {
  if (!thread_.joinable()) return;
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  outbox_.Close();
  thread_.join();
}

bool LeaseReplicator::synced() const {
  absl::MutexLock lock(&mu_);
  return synced_;
}

bool LeaseReplicator::Stopping() const {
  absl::MutexLock lock(&mu_);
  return stopping_;
}

bool LeaseReplicator::Pause(absl::Duration wait) {
  absl::MutexLock lock(&mu_);
  return !mu_.AwaitWithTimeout(absl::Condition(&stopping_), wait);
}

void LeaseReplicator::Run() {
  Backoff backoff(absl::Milliseconds(100), absl::Seconds(2));
  int failures = 0;
  absl::Time give_up = absl::InfiniteFuture();
  while (true) {
    if (Stopping()) {
      if (give_up == absl::InfiniteFuture()) give_up = absl::Now() + options_.patience;
      if (outbox_.urgent() == 0 || !bucket_ || absl::Now() >= give_up) break;
    }
    absl::Status status = bucket_ ? absl::OkStatus() : Open();
    if (status.ok()) {
      if (auto item = outbox_.Take(absl::Seconds(1))) {
        status = Publish(*item);
        if (absl::IsInvalidArgument(status)) {  // it never will be
          Log(Level::kError, "a lease cannot be shared with other gateways", {{"error", StdView(status.message())}});
          status = absl::OkStatus();
        }
        if (!status.ok()) outbox_.PutBack(*std::move(item));
      }
    }
    if (status.ok()) {
      if (failures > 0) Log(Level::kInfo, "leases are shared with other gateways again");
      failures = 0;
      continue;
    }
    if (++failures == 1) {
      Log(Level::kWarning, "leases cannot be shared with other gateways, trying on",
          {{"error", StdView(status.message())}});
    }
    if (!Pause(backoff.Wait(failures))) break;
  }
  bucket_.reset();
}

absl::Status LeaseReplicator::Open() {
  jetstream::KeyValueOptions options;
  options.bucket = "leases";
  options.replicas = options_.replicas;
  options.ttl = options_.max_ttl + absl::Hours(1);
  jetstream::KeyValueWatch watch;
  watch.on_entry = [this](const std::string& key, std::optional<std::string_view> value) { OnEntry(key, value); };
  watch.on_synced = [this] {
    absl::MutexLock lock(&mu_);
    synced_ = true;
  };
  LH_ASSIGN_OR_RETURN(bucket_, client_.OpenKeyValue(options, std::move(watch)));
  return absl::OkStatus();
}

absl::Status LeaseReplicator::Publish(const LeaseOutbox::Item& item) {
  if (const auto* revocation = std::get_if<v1::Revocation>(&item)) {
    return bucket_->Put(std::format("{}{}-{}", kRevocationPrefix, revocation->before_ms(), RandomHex(8)),
                        revocation->SerializeAsString());
  }
  const LeaseOutbox::Change& change = std::get<LeaseOutbox::Change>(item);
  auto record = book_.Get(change.id);
  if (!record.ok()) return absl::OkStatus();  // forgotten meanwhile
  if (record->state() == v1::LEASE_STATE_EXPIRED) {
    if (change.urgency == LeaseOutbox::Urgency::kNews) return absl::OkStatus();
    record->set_state(v1::LEASE_STATE_ACTIVE);  // that it has expired, everybody sees by the time
  }
  record->set_writer(writer_);
  return bucket_->Put(change.id.str(), record->SerializeAsString());
}

void LeaseReplicator::OnEntry(const std::string& key, std::optional<std::string_view> value) {
  if (!value) return;  // an entry that grew too old
  if (key.starts_with(kRevocationPrefix)) {
    v1::Revocation revocation;
    if (value->size() <= kMaxValue && revocation.ParseFromArray(value->data(), static_cast<int>(value->size()))) {
      book_.LearnRevocation(revocation);
    } else {
      Log(Level::kWarning, "an entry of the bucket leases is not a revocation", {{"key", Printable(key)}});
    }
    return;
  }
  const auto record = ParseRecord(key, *value);
  if (!record.ok()) {
    Log(Level::kWarning, "an entry of the bucket leases is not a lease",
        {{"key", Printable(key)}, {"error", StdView(record.status().message())}});
    return;
  }
  if (record->writer() == writer_) return;
  book_.Learn(*record);
}

}  // namespace leasehold::gateway
