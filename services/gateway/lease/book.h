// The leases and revocations as this gateway knows them: those given out here, those that other gateways told of, and
// those whose sessions are here. In memory only; LeaseReplicator connects the books of all gateways. A restarted
// gateway learns again from the others' bucket.
//
// Any thread; nothing blocks. What the book tells (LeaseWatchers, LeaseOutbox) is told without its locks.
// Lock order: requests_mu_, then one shard's mu, then the lock inside Revocations or LeaseCounts.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/identity/identity.h"
#include "leasehold/v1/lease.pb.h"
#include "services/gateway/lease/lease_counts.h"
#include "services/gateway/lease/outbox.h"
#include "services/gateway/lease/revocations.h"
#include "services/gateway/lease/watchers.h"

namespace leasehold::gateway {

class LeaseBook {
 public:
  struct Options {
    absl::Duration max_ttl = absl::Hours(24);    // leases.max_ttl
    absl::Duration keep_ended = absl::Hours(1);  // so long GetLease still finds an ended lease
    size_t max_leases = 1'000'000;               // beyond, Add refuses
    size_t max_ended = 100'000;                  // beyond, the oldest ended leases are cut down to "has ended"
    // Of each lease that was given out here and that nobody has renewed. Must not block.
    std::function<void(const v1::LeaseRecord& expired)> on_expiry = nullptr;
  };

  LeaseBook(const Clock& clock, LeaseWatchers& watchers, LeaseOutbox& outbox, Options options)
      : clock_(clock), watchers_(watchers), outbox_(outbox), options_(std::move(options)) {}

  // The issue time of a lease made now: after every revocation that this gateway knows, so that none of them ends it.
  int64_t IssueMs() const;

  // A lease given out here. If its principal used its request_id before for a lease that still lives, it is not added:
  // that lease is returned, or REQUEST_ID_REUSED if the request was another one. TOO_MANY_CLIENTS when the book is
  // full; QUOTA_EXCEEDED with field "principal_leases" or "tenant_leases" when the bounds are reached by what this
  // gateway knows.
  absl::StatusOr<std::optional<v1::LeaseRecord>> Add(v1::LeaseRecord record, const LeaseBounds& bounds = {});

  // The living lease of an earlier call of this principal with this request_id. REQUEST_ID_REUSED as above.
  absl::StatusOr<std::optional<v1::LeaseRecord>> FindRequest(const std::string& principal,
                                                             const std::string& request_id, uint64_t request_hash);

  // Of leases that are known, living or ended less than an hour ago; LEASE_NOT_FOUND else. Renew and Switch refuse an
  // ended one with LEASE_EXPIRED, _RELEASED or _REVOKED; Release leaves it as it is. Results have the state as of now.
  absl::StatusOr<v1::LeaseRecord> Get(const LeaseId& id) const;
  // Get() without a copy: calls `read` with what is stored and the state as of now. It runs under a lock, so it must be
  // quick and not call the book.
  absl::Status Read(const LeaseId& id,
                    absl::FunctionRef<void(const v1::LeaseRecord& record, v1::LeaseState now)> read) const;
  absl::StatusOr<v1::LeaseRecord> Renew(const LeaseId& id, absl::Duration ttl);
  absl::StatusOr<v1::LeaseRecord> Switch(const LeaseId& id, const std::string& tenant);
  absl::StatusOr<v1::LeaseRecord> Release(const LeaseId& id);

  // Ends all leases issued until now that `conditions` match (before_ms is set here), known or not. How many were
  // known.
  int Revoke(v1::Revocation conditions);

  // Living leases in the order of issue, from the first one after `after`; empty conditions match all. Holds one
  // shard's lock at a time while it looks through it.
  struct Filter {
    std::string tenant;
    std::string service;
    std::string holder;
  };
  std::vector<v1::LeaseRecord> List(const Filter& filter, const std::optional<LeaseId>& after, size_t limit) const;

  // Where the lease with these claims stands, known or not: LEASE_EXPIRED, _RELEASED, _REVOKED if it has ended.
  struct Standing {
    int64_t expire_ms = 0;
    std::string current_tenant;
    std::string holder;
    std::string principal;  // empty while nobody has told of the lease
  };
  absl::StatusOr<Standing> Check(const v1::LeaseClaims& claims) const;

  // A client has proven that it holds this lease: from now on the book watches it, whoever issued it.
  void Adopt(const v1::LeaseClaims& claims);

  // From other gateways. `record` must have passed CheckClaims. What Learn takes has replaced what was told of the
  // lease before: if this book knows more, it says so again. What LearnNews takes stands beside all that was told
  // since.
  void Learn(const v1::LeaseRecord& record);
  void LearnNews(const v1::LeaseRecord& record) { Merge(record); }
  void LearnRevocation(const v1::Revocation& revocation);

  // Ends what has expired and forgets what ended long ago. Called every 100 ms.
  void Tick();

  size_t live() const { return live_.load(std::memory_order_relaxed); }
  size_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    v1::LeaseRecord record;
    int64_t ended_ms = 0;   // when this gateway saw it end; 0 while it lives
    int64_t due_ms = 0;     // of its one valid node in the heap
    bool stripped = false;  // only that it has ended is still known
    bool given_out_here = false;
  };
  struct Due {
    int64_t ms;
    LeaseId id;
  };
  struct Shard {
    mutable absl::Mutex mu;
    absl::btree_map<LeaseId, Entry> leases ABSL_GUARDED_BY(mu);
    std::vector<Due> heap
        ABSL_GUARDED_BY(mu);  // the earliest on top; nodes whose ms is not their entry's due_ms are void
    std::deque<LeaseId> ended ABSL_GUARDED_BY(mu);  // in the order of their end
    // Requests of leases that are no longer known; the next Tick drops them from requests_, whose lock comes first.
    std::vector<std::pair<std::string, LeaseId>> forgotten ABSL_GUARDED_BY(mu);
  };
  struct Ended {
    LeaseId id;
    absl::Status why;
    std::optional<v1::LeaseRecord> expired = std::nullopt;  // for on_expiry
  };

  int64_t NowMs() const { return absl::ToUnixMillis(clock_.Now()); }
  Shard& ShardOf(const LeaseId& id) const { return shards_[static_cast<uint8_t>(id.bytes().back()) % kShards]; }

  // True if this book knows more of the lease than `record` says.
  bool Merge(const v1::LeaseRecord& record);
  // Puts a record where there was none and which is counted, ended already if a revocation covers it.
  Entry& Insert(Shard& shard, const LeaseId& id, v1::LeaseRecord record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mu);
  // After every change of an entry: counts, plans its next moment, and says if it has just ended. May erase other
  // entries.
  std::optional<Ended> Settle(Shard& shard, const LeaseId& id, Entry& entry, int64_t now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mu);
  void Plan(Shard& shard, const LeaseId& id, Entry& entry, int64_t due_ms) ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mu);
  void Forget(Shard& shard, absl::btree_map<LeaseId, Entry>::iterator entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mu);
  void CutEnded(Shard& shard, int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mu);
  bool TickShard(Shard& shard, int64_t now);
  int EndMatching(const v1::Revocation& revocation);
  std::optional<v1::LeaseRecord> LivingOfRequest(const std::string& request) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(requests_mu_);
  void Tell(const std::optional<Ended>& ended) {
    if (!ended) return;
    watchers_.End(ended->id, ended->why);
    if (ended->expired) options_.on_expiry(*ended->expired);
  }
  // Changes a living lease by `change` and tells the other gateways.
  template <typename Change>
  absl::StatusOr<v1::LeaseRecord> ChangeLiving(const LeaseId& id, Change change);

  static constexpr size_t kShards = 16;
  const Clock& clock_;
  LeaseWatchers& watchers_;
  LeaseOutbox& outbox_;
  const Options options_;
  Revocations revocations_;
  LeaseCounts counts_;  // of what lives
  std::atomic<size_t> live_ = 0;
  std::atomic<size_t> size_ = 0;
  std::atomic<int64_t> swept_ms_ = 0;  // when old revocations were last looked for
  mutable absl::Mutex requests_mu_;
  absl::flat_hash_map<std::string, LeaseId> requests_ ABSL_GUARDED_BY(requests_mu_);
  mutable std::array<Shard, kShards> shards_;
};

}  // namespace leasehold::gateway
