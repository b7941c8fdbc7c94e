// Who on this gateway must hear at once that a lease has ended: SQL sessions and Hold streams. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/identity/identity.h"

namespace leasehold::gateway {

class LeaseWatchers {
 public:
  using OnEnd = std::function<void(absl::Status)>;
  enum class Kind { kSession, kStream };

  // The right to be told, once. Shared by the table and whoever else may end it (a tenant's state, say).
  class Bell {
   public:
    explicit Bell(OnEnd on_end) : on_end_(std::move(on_end)) {}
    // Calls on_end with `why` unless it was called before or the watch is gone.
    void Ring(const absl::Status& why);
    // Afterwards on_end is not running and will not run. Safe within on_end itself.
    void Silence();

   private:
    absl::Mutex mu_;
    OnEnd on_end_ ABSL_GUARDED_BY(mu_);  // empty once taken
    std::thread::id ringing_ ABSL_GUARDED_BY(mu_);
  };

  // Dropping it ends the watch, as Bell::Silence says.
  class Watch {
   public:
    ~Watch();
    const std::shared_ptr<Bell>& bell() const { return bell_; }

   private:
    friend class LeaseWatchers;
    Watch(LeaseWatchers* table, LeaseId id, Kind kind, std::shared_ptr<Bell> bell)
        : table_(table), id_(std::move(id)), kind_(kind), bell_(std::move(bell)) {}
    LeaseWatchers* const table_;
    const LeaseId id_;
    const Kind kind_;
    const std::shared_ptr<Bell> bell_;
  };

  // `on_end` must not block; it is called without locks of this class. Check that the lease lives after Add, not
  // before: what ends it in between would be missed.
  std::unique_ptr<Watch> Add(const LeaseId& id, Kind kind, OnEnd on_end);

  void End(const LeaseId& id, const absl::Status& why);

  // SQL sessions open on the lease.
  int Sessions(const LeaseId& id) const;

 private:
  struct OfLease {
    absl::flat_hash_set<std::shared_ptr<Bell>> bells;
    int sessions = 0;
  };
  struct Shard {
    mutable absl::Mutex mu;
    absl::flat_hash_map<LeaseId, OfLease> leases ABSL_GUARDED_BY(mu);
  };

  Shard& ShardOf(const LeaseId& id) const { return shards_[static_cast<uint8_t>(id.bytes().back()) % kShards]; }

  static constexpr size_t kShards = 16;
  mutable std::array<Shard, kShards> shards_;
};

}  // namespace leasehold::gateway
