#include "services/gateway/lease/replicator.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <format>
#include <utility>
#include <variant>

#include "common/clock/clock.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"

namespace leasehold::gateway {
namespace {

// News have as many records to an entry as fit: far below what NATS takes (max_payload, 1 MiB).
constexpr int kFullNews = 256 * 1024;
// While leases are made faster than this, they are told together: an entry costs NATS and us many times what a record
// in it does. One that comes alone is told at once.
constexpr absl::Duration kNewsInterval = absl::Milliseconds(50);

uint64_t RandomNumber() {
  uint8_t bytes[8];
  RandomBytes(bytes);
  uint64_t number = 0;
  for (const uint8_t byte : bytes) number = number << 8 | byte;
  return number | 1;  // 0 means none
}

void LogNoLease(const std::string& key, const absl::Status& why) {
  Log(Level::kWarning, "an entry of the bucket leases is not a lease",
      {{"key", Printable(key)}, {"error", StdView(why.message())}});
}

}  // namespace

LeaseReplicator::LeaseReplicator(jetstream::Client& client, LeaseBook& book, LeaseOutbox& outbox, Options options)
    : client_(client),
      book_(book),
      outbox_(outbox),
      options_(options),
      writer_(RandomNumber()),
      news_prefix_(std::format("{}{:016x}-", kNewsPrefix, writer_)) {}

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
    const bool stopping = Stopping();
    if (stopping) {
      if (give_up == absl::InfiniteFuture()) give_up = absl::Now() + options_.patience;
      if (outbox_.size() == 0 || !bucket_ || absl::Now() >= give_up) break;
    }
    absl::Status status = bucket_ ? absl::OkStatus() : Open();
    if (status.ok()) {
      const absl::Duration until_news = stopping ? absl::ZeroDuration() : next_news_ - absl::Now();
      const bool news = until_news <= absl::ZeroDuration();
      if (auto item = outbox_.Take(news ? absl::Seconds(1) : until_news, news ? kMaxNews : 0)) {
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
  return std::visit([this](const auto& what) { return Tell(what); }, item);
}

absl::Status LeaseReplicator::Tell(const v1::Revocation& revocation) {
  return bucket_->Put(std::format("{}{}-{}", kRevocationPrefix, revocation.before_ms(), RandomHex(8)),
                      revocation.SerializeAsString());
}

absl::Status LeaseReplicator::Tell(const LeaseOutbox::Change& change) {
  auto record = book_.Get(change.id);
  if (!record.ok()) return absl::OkStatus();  // forgotten meanwhile
  // That it has expired, everybody sees by the time.
  if (record->state() == v1::LEASE_STATE_EXPIRED) record->set_state(v1::LEASE_STATE_ACTIVE);
  record->set_writer(writer_);
  return bucket_->Put(change.id.str(), record->SerializeAsString());
}

absl::Status LeaseReplicator::Tell(const LeaseOutbox::News& news) {
  if (news.size() < kMaxNews) next_news_ = absl::Now() + kNewsInterval;
  for (std::span<const LeaseId> rest = news; !rest.empty();) {
    const std::string told = NewsOf(rest);
    if (told.empty()) continue;
    // What was told before it failed is told again, which changes nothing.
    LH_RETURN_IF_ERROR(bucket_->Put(std::format("{}{}", news_prefix_, news_number_++), told));
  }
  return absl::OkStatus();
}

std::string LeaseReplicator::NewsOf(std::span<const LeaseId>& news) const {
  // A serialized LeaseNews is its records one after another, so each can be written where it stands in the book.
  constexpr uint32_t kLengthDelimited = 2;
  constexpr uint32_t kRecord = v1::LeaseNews::kRecordsFieldNumber << 3 | kLengthDelimited;
  std::string told;
  {
    google::protobuf::io::StringOutputStream stream(&told);
    google::protobuf::io::CodedOutputStream out(&stream);
    const auto write = [&out](const v1::LeaseRecord& record, v1::LeaseState now) {
      if (now == v1::LEASE_STATE_EXPIRED) return;
      out.WriteTag(kRecord);
      out.WriteVarint32(static_cast<uint32_t>(record.ByteSizeLong()));
      record.SerializeWithCachedSizes(&out);
    };
    for (; !news.empty() && out.ByteCount() < kFullNews; news = news.subspan(1)) {
      book_.Read(news.front(), write).IgnoreError();  // it may be forgotten meanwhile
    }
  }
  return told;
}

void LeaseReplicator::OnEntry(const std::string& key, std::optional<std::string_view> value) {
  if (!value) return;                         // an entry that grew too old
  if (key.starts_with(news_prefix_)) return;  // our own
  const absl::StatusOr<BucketEntry> entry = ParseBucketEntry(key, *value);
  if (!entry.ok()) return LogNoLease(key, entry.status());
  std::visit([&](const auto& what) { Learn(key, what); }, *entry);
}

void LeaseReplicator::Learn(const std::string&, const v1::Revocation& revocation) { book_.LearnRevocation(revocation); }

void LeaseReplicator::Learn(const std::string&, const v1::LeaseRecord& record) {
  if (record.writer() != writer_) book_.Learn(record);
}

void LeaseReplicator::Learn(const std::string& key, const LeaseNewsEntry& news) {
  for (const v1::LeaseRecord& record : news.records) book_.LearnNews(record);
  if (!news.wrong.ok()) LogNoLease(key, news.wrong);
}

}  // namespace leasehold::gateway
