// Connects this gateway's LeaseBook with the others', through the JetStream key-value bucket `leases`: what the outbox
// holds is published, what others publish is learnt. Writes behind: nobody who acquires or releases a lease waits for
// NATS, and with NATS down everything works on this gateway, the others hear of it later.
//
// The bucket's keys: a lease's id, for its newest state, once anything of it has changed; "revocation.<time>-<random>";
// and "news.<writer>-<number>", for many leases in their first state.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/jetstream/jetstream.h"
#include "services/gateway/lease/book.h"
#include "services/gateway/lease/bucket_entry.h"
#include "services/gateway/lease/outbox.h"

namespace leasehold::gateway {

class LeaseReplicator {
 public:
  struct Options {
    int replicas = 1;                            // nats.replicas
    absl::Duration max_ttl = absl::Hours(24);    // leases.max_ttl; an entry of the bucket lives for an hour longer
    absl::Duration patience = absl::Seconds(2);  // how long Stop() tries to tell what has not been told
  };

  LeaseReplicator(jetstream::Client& client, LeaseBook& book, LeaseOutbox& outbox, Options options);
  ~LeaseReplicator();

  // At most once each, from one thread. Start() returns at once; Stop() after at most `patience` and one call to NATS.
  void Start();
  void Stop();

  // All that the bucket held has been learnt.
  bool synced() const;

 private:
  void Run();
  absl::Status Open();
  absl::Status Publish(const LeaseOutbox::Item& item);
  absl::Status Tell(const v1::Revocation& revocation);
  absl::Status Tell(const LeaseOutbox::Change& change);
  absl::Status Tell(const LeaseOutbox::News& news);
  // A serialized LeaseNews of the first of `news`, which it takes from them, without those that have expired or been
  // forgotten; empty if none is left.
  std::string NewsOf(std::span<const LeaseId>& news) const;
  void OnEntry(const std::string& key, std::optional<std::string_view> value);
  void Learn(const std::string& key, const v1::Revocation& revocation);
  void Learn(const std::string& key, const v1::LeaseRecord& record);
  void Learn(const std::string& key, const LeaseNewsEntry& news);
  bool Stopping() const;
  // False when the replicator shall stop at once.
  bool Pause(absl::Duration wait);

  jetstream::Client& client_;
  LeaseBook& book_;
  LeaseOutbox& outbox_;
  const Options options_;
  const uint64_t writer_;                        // of this process
  const std::string news_prefix_;                // of the keys of this process's news
  uint64_t news_number_ = 0;                     // of the next news; only thread_ uses it
  absl::Time next_news_ = absl::InfinitePast();  // not before; only thread_ uses it
  mutable absl::Mutex mu_;
  bool synced_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::unique_ptr<jetstream::KeyValue> bucket_;  // only thread_ uses it
  std::thread thread_;
};

}  // namespace leasehold::gateway
