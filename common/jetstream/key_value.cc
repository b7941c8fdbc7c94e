#include "common/jetstream/key_value.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/jetstream/nats_status.h"
#include "common/jetstream/subject.h"
#include "common/status/error.h"

namespace leasehold::jetstream {
namespace {

// How soon a reconnection is noticed.
constexpr absl::Duration kNextTimeout = absl::Milliseconds(200);
constexpr absl::Duration kRestartPause = absl::Milliseconds(100);
// How often the bucket itself is looked at while nothing comes.
constexpr absl::Duration kCheckInterval = absl::Seconds(2);
// A watch that has not delivered what is present by then is started over.
constexpr absl::Duration kSyncPatience = absl::Seconds(3);
constexpr absl::Duration kDuplicateWindow = absl::Minutes(2);

}  // namespace

absl::StatusOr<std::unique_ptr<WatchedBucket>> WatchedBucket::Open(std::shared_ptr<Connection> connection,
                                                                   const KeyValueOptions& options,
                                                                   KeyValueWatch watch) {
  std::unique_ptr<WatchedBucket> bucket(new WatchedBucket(std::move(connection), options, std::move(watch)));
  LH_RETURN_IF_ERROR(bucket->StoreOn(bucket->connection_->link()).status());
  bucket->thread_ = std::thread([raw = bucket.get()] { raw->Run(); });
  return bucket;
}

WatchedBucket::WatchedBucket(std::shared_ptr<Connection> connection, KeyValueOptions options, KeyValueWatch watch)
    : connection_(std::move(connection)), options_(std::move(options)), watch_(std::move(watch)) {}

WatchedBucket::~WatchedBucket() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    if (watcher_ != nullptr) kvWatcher_Stop(watcher_);
  }
  if (thread_.joinable()) thread_.join();
}

absl::StatusOr<JsStreamInfoPtr> WatchedBucket::Info(const Link& link) const {
  LH_RETURN_IF_ERROR(connection_->CheckConnected());
  const std::string stream = absl::StrCat("KV_", options_.bucket);
  jsStreamInfo* info = nullptr;
  jsErrCode code = {};
  const natsStatus status = js_GetStreamInfo(&info, link.jetstream(), stream.c_str(), nullptr, &code);
  LH_RETURN_IF_ERROR(ToStatus(status, absl::StrCat("bucket ", options_.bucket), code));
  return JsStreamInfoPtr(info);
}

absl::StatusOr<WatchedBucket::Bucket> WatchedBucket::EnsureBucket(const Link& link) const {
  const std::string doing = absl::StrCat("bucket ", options_.bucket);
  const int64_t ttl = absl::ToInt64Nanoseconds(options_.ttl);
  jsCtx* jetstream = link.jetstream();
  Bucket bucket;
  kvStore* store = nullptr;

  absl::StatusOr<JsStreamInfoPtr> info = Info(link);
  if (absl::IsNotFound(info.status())) {
    kvConfig config;
    LH_RETURN_IF_ERROR(ToStatus(kvConfig_Init(&config), doing));
    config.Bucket = options_.bucket.c_str();
    config.History = 1;
    config.TTL = ttl;
    config.StorageType = js_FileStorage;
    config.Replicas = options_.replicas;
    LH_RETURN_IF_ERROR(ToStatus(js_CreateKeyValue(&store, jetstream, &config), doing));
    bucket.store.reset(store, kvStore_Destroy);
    info = Info(link);
  }
  LH_RETURN_IF_ERROR(info.status());
  jsStreamConfig& config = *(*info)->Config;
  if (config.MaxAge != ttl || config.Replicas != options_.replicas) {
    config.MaxAge = ttl;
    config.Replicas = options_.replicas;
    config.Duplicates = absl::ToInt64Nanoseconds(kDuplicateWindow);
    if (ttl > 0) config.Duplicates = std::min(config.Duplicates, ttl);
    jsErrCode code = {};
    const natsStatus status = js_UpdateStream(nullptr, jetstream, &config, nullptr, &code);
    LH_RETURN_IF_ERROR(ToStatus(status, doing, code));
  }
  if (!bucket.store) {
    LH_RETURN_IF_ERROR(ToStatus(js_KeyValue(&store, jetstream, options_.bucket.c_str()), doing));
    bucket.store.reset(store, kvStore_Destroy);
  }
  bucket.created_ns = (*info)->Created;
  bucket.last_sequence = (*info)->State.LastSeq;
  return bucket;
}

absl::Status WatchedBucket::Put(const std::string& key, std::string_view value) {
  return Write(key, [&](kvStore* store) {
    return kvStore_Put(nullptr, store, key.c_str(), value.data(), static_cast<int>(value.size()));
  });
}

absl::Status WatchedBucket::Delete(const std::string& key) {
  return Write(key, [&](kvStore* store) { return kvStore_Delete(store, key.c_str()); });
}

absl::StatusOr<std::shared_ptr<kvStore>> WatchedBucket::StoreOn(const std::shared_ptr<Link>& link) {
  {
    absl::MutexLock lock(&mu_);
    if (link_ == link) return store_;
  }
  LH_ASSIGN_OR_RETURN(Bucket bucket, EnsureBucket(*link));
  absl::MutexLock lock(&mu_);
  store_ = std::move(bucket.store);
  link_ = link;
  return store_;
}

absl::Status WatchedBucket::Write(const std::string& key, const std::function<natsStatus(kvStore*)>& write) {
  LH_RETURN_IF_ERROR(CheckKey(key));
  LH_RETURN_IF_ERROR(connection_->CheckConnected());
  const std::shared_ptr<Link> link = connection_->link();
  LH_ASSIGN_OR_RETURN(const std::shared_ptr<kvStore> store, StoreOn(link));
  natsStatus status = write(store.get());
  if (status == NATS_NO_RESPONDERS) {  // connected, but nobody stores: the bucket is gone
    LH_RETURN_IF_ERROR(EnsureBucket(*link).status());
    status = write(store.get());
  }
  return ToStatus(status, absl::StrCat("write to bucket ", options_.bucket));
}

bool WatchedBucket::Stopping() const {
  absl::MutexLock lock(&mu_);
  return stopping_;
}

void WatchedBucket::Run() {
  while (!Stopping()) {
    if (connection_->AwaitConnected(kNextTimeout).ok()) WatchOnce();
    absl::MutexLock lock(&mu_);
    mu_.AwaitWithTimeout(absl::Condition(&stopping_), kRestartPause);
  }
}

void WatchedBucket::WatchOnce() {
  const uint64_t epoch = connection_->epoch();
  const std::shared_ptr<Link> link = connection_->link();
  absl::StatusOr<Bucket> bucket = EnsureBucket(*link);
  if (!bucket.ok()) return;
  kvWatcher* raw = nullptr;
  if (kvStore_WatchAll(&raw, bucket->store.get(), nullptr) != NATS_OK) return;
  KvWatcherPtr watcher(raw);
  {
    absl::MutexLock lock(&mu_);
    if (stopping_) return;
    watcher_ = raw;
  }
  Follow(*link, raw, *bucket, epoch);
  absl::MutexLock lock(&mu_);
  watcher_ = nullptr;
}

// Returns when the watch must start over.
void WatchedBucket::Follow(const Link& link, kvWatcher* watcher, const Bucket& bucket, uint64_t epoch) {
  bool synced = false;
  uint64_t seen = 0;
  std::optional<uint64_t> behind;  // the sequence that the last check found missing
  absl::Time quiet_since = absl::Now();
  while (connection_->epoch() == epoch) {
    kvEntry* raw = nullptr;
    const natsStatus status = kvWatcher_Next(&raw, watcher, absl::ToInt64Milliseconds(kNextTimeout));
    KvEntryPtr entry(raw);
    if (Stopping()) return;
    if (status == NATS_OK) {
      quiet_since = absl::Now();
      if (!entry) {
        synced = true;
        seen = std::max(seen, bucket.last_sequence);
        if (watch_.on_synced) watch_.on_synced();
        continue;
      }
      seen = std::max(seen, kvEntry_Revision(raw));
      std::optional<std::string_view> value;
      if (kvEntry_Operation(raw) == kvOp_Put) {
        const auto* data = static_cast<const char*>(kvEntry_Value(raw));
        value = data == nullptr ? "" : std::string_view(data, static_cast<size_t>(kvEntry_ValueLen(raw)));
      }
      if (watch_.on_entry) watch_.on_entry(kvEntry_Key(raw), value);
      continue;
    }
    if (status != NATS_TIMEOUT) return;
    const absl::Duration quiet = absl::Now() - quiet_since;
    if (!synced && quiet > kSyncPatience) return;
    if (quiet < kCheckInterval) continue;
    quiet_since = absl::Now();
    absl::StatusOr<JsStreamInfoPtr> info = Info(link);
    if (absl::IsNotFound(info.status())) return;
    if (!info.ok()) continue;
    if ((*info)->Created != bucket.created_ns) return;
    // What was missing at the last check may have been on its way; what is missing twice was lost.
    if (behind && *behind > seen) return;
    behind = (*info)->State.LastSeq;
  }
}

}  // namespace leasehold::jetstream
