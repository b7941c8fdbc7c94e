#include "services/gateway/registry/followers.h"

namespace leasehold::gateway {

void Follower::Post(const TenantId& id, TenantNews news) {
  absl::MutexLock lock(&mu_);
  heard_any_ = true;
  waiting_.insert_or_assign(id, std::move(news));
}

void Follower::Deliver() {
  absl::MutexLock lock(&mu_);
  if (running_) return;
  running_ = true;
  runner_ = std::this_thread::get_id();
  while (!dropped_ && !waiting_.empty()) {
    auto next = waiting_.extract(waiting_.begin());
    mu_.Unlock();
    on_news_(next.key(), std::move(next.mapped()));
    mu_.Lock();
  }
  running_ = false;
}

void Follower::Drop() {
  absl::MutexLock lock(&mu_);
  dropped_ = true;
  waiting_.clear();
  if (running_ && runner_ == std::this_thread::get_id()) return;
  mu_.Await(absl::Condition(this, &Follower::Idle));
}

bool Follower::heard_any() const {
  absl::MutexLock lock(&mu_);
  return heard_any_;
}

std::pair<FollowerPtr, TenantDirectory::Handle> Followers::Add(const std::optional<TenantId>& id,
                                                               Follower::OnNews on_news) {
  auto follower = std::make_shared<Follower>(std::move(on_news));
  {
    absl::MutexLock lock(&mu_);
    (id ? of_one_[*id] : of_all_).insert(follower);
  }
  TenantDirectory::Handle handle(static_cast<void*>(follower.get()),
                                 [weak = weak_from_this(), id, follower](void* /*the follower*/) {
                                   if (const auto self = weak.lock()) self->Remove(id, follower);
                                   follower->Drop();
                                 });
  return {std::move(follower), std::move(handle)};
}

std::vector<FollowerPtr> Followers::Of(const TenantId& id) const {
  absl::MutexLock lock(&mu_);
  std::vector<FollowerPtr> all(of_all_.begin(), of_all_.end());
  const auto one = of_one_.find(id);
  if (one != of_one_.end()) all.insert(all.end(), one->second.begin(), one->second.end());
  return all;
}

bool Followers::Any(const TenantId& id) const {
  absl::MutexLock lock(&mu_);
  return !of_all_.empty() || of_one_.contains(id);
}

bool Followers::AnyOfAll() const {
  absl::MutexLock lock(&mu_);
  return !of_all_.empty();
}

std::vector<TenantId> Followers::Followed() const {
  absl::MutexLock lock(&mu_);
  std::vector<TenantId> ids;
  for (const auto& [id, followers] : of_one_) ids.push_back(id);
  return ids;
}

void Followers::Remove(const std::optional<TenantId>& id, const FollowerPtr& follower) {
  absl::MutexLock lock(&mu_);
  if (!id) {
    of_all_.erase(follower);
    return;
  }
  const auto one = of_one_.find(*id);
  if (one == of_one_.end()) return;
  one->second.erase(follower);
  if (one->second.empty()) of_one_.erase(one);
}

}  // namespace leasehold::gateway
