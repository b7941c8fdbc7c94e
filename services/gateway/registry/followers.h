// Who is told of changed tenants, and that nobody is told after it stopped listening.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/identity/identity.h"
#include "services/gateway/directory/directory.h"

namespace leasehold::gateway {

using TenantNews = absl::StatusOr<TenantViewPtr>;

// One callback with its mailbox: news of the same tenant replace each other while they wait, and the callback never
// runs on two threads at once. Any thread.
class Follower {
 public:
  using OnNews = std::function<void(const TenantId&, TenantNews)>;
  explicit Follower(OnNews on_news) : on_news_(std::move(on_news)) {}

  // Post in the order of events; Deliver when no lock is held.
  void Post(const TenantId& id, TenantNews news);
  // Runs the callback on all that waits, unless another thread is at it (which then goes on until nothing waits).
  void Deliver();
  // After this the callback does not run again. Waits for it if it runs now, unless this is called from inside it.
  void Drop();
  bool heard_any() const;

 private:
  bool Idle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !running_; }

  const OnNews on_news_;
  mutable absl::Mutex mu_;
  std::map<TenantId, TenantNews> waiting_ ABSL_GUARDED_BY(mu_);
  bool heard_any_ ABSL_GUARDED_BY(mu_) = false;
  bool running_ ABSL_GUARDED_BY(mu_) = false;
  std::thread::id runner_ ABSL_GUARDED_BY(mu_);
  bool dropped_ ABSL_GUARDED_BY(mu_) = false;
};

using FollowerPtr = std::shared_ptr<Follower>;

// All of them. Any thread. Handles may outlive it.
class Followers : public std::enable_shared_from_this<Followers> {
 public:
  // `id` nullopt: of all tenants. The follower is dropped with the handle.
  std::pair<FollowerPtr, TenantDirectory::Handle> Add(const std::optional<TenantId>& id, Follower::OnNews on_news);

  // Those that want to hear of `id`.
  std::vector<FollowerPtr> Of(const TenantId& id) const;
  bool Any(const TenantId& id) const;
  bool AnyOfAll() const;
  std::vector<TenantId> Followed() const;

 private:
  void Remove(const std::optional<TenantId>& id, const FollowerPtr& follower);

  mutable absl::Mutex mu_;
  std::map<TenantId, std::set<FollowerPtr>> of_one_ ABSL_GUARDED_BY(mu_);
  std::set<FollowerPtr> of_all_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leasehold::gateway
