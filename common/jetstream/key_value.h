#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/jetstream/connection.h"
#include "common/jetstream/jetstream.h"

namespace leasehold::jetstream {

// A bucket and the thread that watches it. The watch starts over after each reconnection and when the bucket is found
// to have been made anew or to have stalled: nats.c's own recovery does not cover a bucket that was lost.
class WatchedBucket : public KeyValue {
 public:
  // Makes the bucket if needed; blocks.
  static absl::StatusOr<std::unique_ptr<WatchedBucket>> Open(std::shared_ptr<Connection> connection,
                                                             const KeyValueOptions& options, KeyValueWatch watch);
  ~WatchedBucket() override;  // joins: not from the watch's own callbacks

  absl::Status Put(const std::string& key, std::string_view value) override;
  absl::Status Delete(const std::string& key) override;

 private:
  struct Bucket {
    std::shared_ptr<kvStore> store;
    int64_t created_ns = 0;  // tells a bucket from its successor of the same name
    uint64_t last_sequence = 0;
  };

  WatchedBucket(std::shared_ptr<Connection> connection, KeyValueOptions options, KeyValueWatch watch);
  absl::StatusOr<Bucket> EnsureBucket(const Link& link) const;
  absl::StatusOr<JsStreamInfoPtr> Info(const Link& link) const;
  // What writes go through on `link`.
  absl::StatusOr<std::shared_ptr<kvStore>> StoreOn(const std::shared_ptr<Link>& link);
  absl::Status Write(const std::string& key, const std::function<natsStatus(kvStore*)>& write);

  void Run();
  void WatchOnce();
  void Follow(const Link& link, kvWatcher* watcher, const Bucket& bucket, uint64_t epoch);
  bool Stopping() const;

  const std::shared_ptr<Connection> connection_;
  const KeyValueOptions options_;
  const KeyValueWatch watch_;

  mutable absl::Mutex mu_;
  // `store_` only names the bucket, so it stays good when the bucket is made anew.
  std::shared_ptr<Link> link_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<kvStore> store_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  kvWatcher* watcher_ ABSL_GUARDED_BY(mu_) = nullptr;  // to wake the thread
  std::thread thread_;
};

}  // namespace leasehold::jetstream
