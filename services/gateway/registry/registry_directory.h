// The gateway's TenantDirectory: a bounded cache over the store, kept true by the store's notifications.
//
// One load runs at a time, of up to 500 tenants; what changes meanwhile is loaded again after it. So views of a tenant
// reach the cache and its followers in the order in which they were read, and a burst of changes costs one load.
//
// Look-ups past the cache cannot become a flood: those of one tenant share a load, and a tenant that is cached and has
// not changed since is read for them at most once in `Limits::spacing`; until then they wait.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/executor/executor.h"
#include "services/gateway/directory/directory.h"
#include "services/gateway/registry/followers.h"
#include "services/gateway/registry/pulse.h"

namespace leasehold::gateway {

TenantViewPtr ViewOf(const v1::Tenant& tenant);

// Any thread; nothing blocks.
class RegistryDirectory : public TenantDirectory {
 public:
  // Where it reads; all of it blocks and is called on the executor.
  struct Source {
    // Those that exist, in any order.
    std::function<absl::StatusOr<std::vector<v1::Tenant>>(std::span<const TenantId> ids)> read;
    std::function<absl::StatusOr<v1::Tenant>(const std::string& domain)> read_domain;
    // All that are or were, in order, behind `after`.
    std::function<absl::StatusOr<std::vector<TenantId>>(const std::string& after, int limit)> list_ids;
  };
  struct Limits {
    absl::Duration ttl = absl::Hours(1);
    size_t max_entries = 100'000;
    absl::Duration spacing = absl::Milliseconds(100);
  };

  // `executor` is stopped before the directory goes; `clock` outlives it.
  RegistryDirectory(Source source, Executor& executor, const Clock& clock, Limits limits);
  ~RegistryDirectory() override;

  void Lookup(const TenantId& id, WillDo will_do, Callback done) override;
  void LookupDomain(const std::string& domain, Callback done) override;
  Handle Follow(const TenantId& id, std::function<void(absl::StatusOr<TenantViewPtr>)> on_change) override;
  Handle FollowAll(std::function<void(const TenantId& id, absl::StatusOr<TenantViewPtr>)> on_change) override;

  // The tenant has changed.
  void Changed(const TenantId& id);
  // Changes may have been missed: all that is cached or followed is read again.
  void ChangesMissed();
  // The registry answers: what could not be read is tried again.
  void Retry();
  // Look-ups wait for their turn no more. Idempotent; before the executor is stopped, so that none is left.
  void Stop();

 private:
  struct Entry {
    TenantId id;
    TenantViewPtr view;
    absl::Time read_at;
    absl::Time tried_at;   // at or after `read_at`: the registry may not have answered
    bool changed = false;  // since it was read
  };
  using Entries = std::list<Entry>;  // the most recently used first
  struct IdHash {
    size_t operator()(const TenantId& id) const { return std::hash<std::string>()(id.str()); }
  };

  struct Postponed {
    absl::Time until;
    std::vector<Callback> callbacks;
  };

  // Gives postponed look-ups their turn.
  void Pace();
  // Those whose time has come by `now`; when the next one's does.
  absl::Time TakeTurns(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Starts a load if there is something to load and none runs. What it returns must be called when no lock is held.
  [[nodiscard]] std::vector<Callback> Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Load();
  void ListMissed(const std::string& after);
  Entry* Find(const TenantId& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Keep(const TenantId& id, TenantViewPtr view) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Forget(const TenantId& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Source source_;
  Executor& executor_;
  const Clock& clock_;
  const Limits limits_;
  const std::shared_ptr<Followers> followers_ = std::make_shared<Followers>();

  absl::Mutex mu_;
  Entries entries_ ABSL_GUARDED_BY(mu_);
  std::unordered_map<TenantId, Entries::iterator, IdHash> index_ ABSL_GUARDED_BY(mu_);
  std::map<TenantId, std::vector<Callback>> waiting_ ABSL_GUARDED_BY(mu_);  // look-ups
  std::map<TenantId, Postponed> postponed_ ABSL_GUARDED_BY(mu_);            // look-ups whose turn is to come
  std::set<TenantId> dirty_ ABSL_GUARDED_BY(mu_);                           // changed, to be read
  std::optional<std::string> list_after_ ABSL_GUARDED_BY(mu_);              // ids to be listed, for followers of all
  bool loading_ ABSL_GUARDED_BY(mu_) = false;
  bool down_ ABSL_GUARDED_BY(mu_) = false;  // the last load failed: what is cached serves, whatever its age
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;

  Pulse pulse_;
  std::thread thread_;
};

}  // namespace leasehold::gateway
