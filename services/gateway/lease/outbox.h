// What this gateway has to tell the others about leases and has not told yet. Holds ids, not records: of a lease that
// changes five times before its turn comes, one record is published, the newest. Any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/identity/identity.h"
#include "leasehold/v1/lease.pb.h"

namespace leasehold::gateway {

class LeaseOutbox {
 public:
  // A new lease can wait and is told with others: every gateway accepts its credentials without having heard of it.
  // What changes or ends a lease cannot, and overtakes it.
  enum class Urgency { kNews, kChange };

  // Beyond this many the oldest news are dropped (such a lease is then listed by its own gateway only), and, far
  // beyond, the oldest changes.
  static constexpr size_t kMaxNews = 100'000;
  static constexpr size_t kMaxChanges = 2'000'000;

  void Add(const LeaseId& id, Urgency urgency);
  void Add(v1::Revocation revocation);

  struct Change {
    LeaseId id;
  };
  using News = std::vector<LeaseId>;  // not empty, the oldest first
  using Item = std::variant<v1::Revocation, Change, News>;
  // Revocations first, then changes, then up to `max_news` news; with 0, news stay. Waits up to `patience` for one;
  // nullopt if none came or after Close(). One thread at a time.
  std::optional<Item> Take(absl::Duration patience, size_t max_news);
  // An item that could not be published; it is next again.
  void PutBack(Item item);

  // Take() no longer waits, so that its caller can see that it shall stop; it still returns what is there.
  void Close();
  size_t size() const;
  uint64_t dropped() const;

 private:
  // Whether there is what the waiting Take() waits for, or it shall wait no more.
  bool Ready() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return closed_ || !revocations_.empty() || !changes_.empty() || (wants_news_ && !news_.empty());
  }
  void Wake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (waits_ && Ready()) ready_.Signal();
  }
  std::deque<LeaseId>& QueueOf(Urgency urgency) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return urgency == Urgency::kChange ? changes_ : news_;
  }
  std::optional<LeaseId> Pop(Urgency urgency) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void PutBack(const LeaseId& id, Urgency urgency) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable absl::Mutex mu_;
  std::deque<v1::Revocation> revocations_ ABSL_GUARDED_BY(mu_);
  std::deque<LeaseId> changes_ ABSL_GUARDED_BY(mu_);
  std::deque<LeaseId> news_ ABSL_GUARDED_BY(mu_);
  // What waits, and where. A lease whose urgency rose is in both queues; the lower place is skipped.
  absl::flat_hash_map<LeaseId, Urgency> waiting_ ABSL_GUARDED_BY(mu_);
  uint64_t dropped_ ABSL_GUARDED_BY(mu_) = 0;
  // A condition variable, not Mutex::Await: that looks at its condition whenever anybody lets go of the lock, which is
  // once for each new lease.
  absl::CondVar ready_;
  bool waits_ ABSL_GUARDED_BY(mu_) = false;
  bool wants_news_ ABSL_GUARDED_BY(mu_) = false;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace leasehold::gateway
