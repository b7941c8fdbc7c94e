// A TenantDirectory for tests: says what it is told to say, at once.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/status/error.h"
#include "services/gateway/directory/directory.h"

namespace leasehold::gateway {

class FakeDirectory : public TenantDirectory {
 public:
  static constexpr const char* kDatabaseId = "00112233445566aa";

  // A tenant with the same state of every service.
  void Set(const std::string& id, v1::TenantState state, v1::ServiceState service = v1::SERVICE_STATE_READY,
           const std::string& database_id = kDatabaseId) {
    Put(id, View(id, state, service, database_id));
  }
  // What the cache says of it until somebody asks for more, or the registry changes.
  void SetCached(const std::string& id, v1::TenantState state, v1::ServiceState service = v1::SERVICE_STATE_READY,
                 const std::string& database_id = kDatabaseId) {
    const auto view = View(id, state, service, database_id);
    absl::MutexLock lock(&mu_);
    cached_[id] = view;
  }
  // Of a tenant that was Set().
  void SetSettings(const std::string& id, std::map<std::string, std::string> settings) {
    TenantView view = **Find(id);
    view.settings = std::move(settings);
    Put(id, std::make_shared<const TenantView>(std::move(view)));
  }
  void Remove(const std::string& id) { Put(id, Error(v1::REASON_TENANT_NOT_FOUND, "there is no tenant " + id)); }
  void SetDomain(const std::string& domain, const std::string& id) {
    absl::MutexLock lock(&mu_);
    domains_[domain] = id;
  }
  // The registry stops answering, and nothing is cached.
  void SetDown(bool down) {
    absl::MutexLock lock(&mu_);
    down_ = down;
  }
  size_t followers() {
    absl::MutexLock lock(&mu_);
    return followers_.size();
  }
  size_t lookups() {
    absl::MutexLock lock(&mu_);
    return lookups_;
  }

  void Lookup(const TenantId& id, WillDo will_do, Callback done) override {
    const TenantViewPtr cached = Cached(id.str());
    done(cached && will_do(*cached) ? cached : Read(id.str()));
  }
  void LookupDomain(const std::string& domain, Callback done) override {
    std::string id;
    {
      absl::MutexLock lock(&mu_);
      id = domains_[domain];
    }
    done(Find(id));
  }
  Handle Follow(const TenantId& id, std::function<void(absl::StatusOr<TenantViewPtr>)> on_change) override {
    auto follower = std::make_shared<Follower>(id.str(), std::move(on_change));
    uint64_t number = 0;
    {
      absl::MutexLock lock(&mu_);
      number = next_++;
      followers_[number] = follower;
    }
    const TenantViewPtr cached = Cached(id.str());
    follower->Call(cached ? cached : Find(id.str()));
    // Dropping it waits for a running callback, as the contract has it; dropped within one, it hangs and the test with
    // it.
    return Handle(follower.get(), [this, number, follower](void*) {
      {
        absl::MutexLock lock(&mu_);
        followers_.erase(number);
      }
      absl::MutexLock lock(&follower->mu);
      follower->on_change = nullptr;
    });
  }
  Handle FollowAll(std::function<void(const TenantId&, absl::StatusOr<TenantViewPtr>)>) override { return nullptr; }

 private:
  struct Follower {
    Follower(std::string tenant, std::function<void(absl::StatusOr<TenantViewPtr>)> fn)
        : id(std::move(tenant)), on_change(std::move(fn)) {}
    void Call(const absl::StatusOr<TenantViewPtr>& view) {
      absl::MutexLock lock(&mu);
      if (on_change) on_change(view);
    }
    const std::string id;
    absl::Mutex mu;
    std::function<void(absl::StatusOr<TenantViewPtr>)> on_change ABSL_GUARDED_BY(mu);
  };

  static TenantViewPtr View(const std::string& id, v1::TenantState state, v1::ServiceState service,
                            const std::string& database_id) {
    TenantView view{.id = *TenantId::Parse(id), .state = state, .generation = 1, .services = {}};
    for (const char* name : {"identity", "core"}) view.services[name] = {service, database_id, 1};
    return std::make_shared<const TenantView>(std::move(view));
  }
  TenantViewPtr Cached(const std::string& id) {
    absl::MutexLock lock(&mu_);
    const auto found = cached_.find(id);
    return found == cached_.end() ? nullptr : found->second;
  }
  // Past the cache, which knows it then.
  absl::StatusOr<TenantViewPtr> Read(const std::string& id) {
    absl::StatusOr<TenantViewPtr> view = Find(id);
    absl::MutexLock lock(&mu_);
    const auto cached = cached_.find(id);
    if (cached == cached_.end()) return view;
    if (down_) return cached->second;
    cached_.erase(cached);
    return view;
  }
  absl::StatusOr<TenantViewPtr> Find(const std::string& id) {
    absl::MutexLock lock(&mu_);
    ++lookups_;
    if (down_) return Error(v1::REASON_REGISTRY_UNAVAILABLE, "the registry does not answer");
    const auto found = tenants_.find(id);
    if (found == tenants_.end()) return Error(v1::REASON_TENANT_NOT_FOUND, "there is no tenant " + id);
    return found->second;
  }
  void Put(const std::string& id, absl::StatusOr<TenantViewPtr> view) {
    std::vector<std::shared_ptr<Follower>> called;
    {
      absl::MutexLock lock(&mu_);
      tenants_.insert_or_assign(id, view);
      cached_.erase(id);
      for (const auto& [_, follower] : followers_) {
        if (follower->id == id) called.push_back(follower);
      }
    }
    for (const auto& follower : called) follower->Call(view);
  }

  absl::Mutex mu_;
  bool down_ ABSL_GUARDED_BY(mu_) = false;
  size_t lookups_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t next_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<std::string, absl::StatusOr<TenantViewPtr>> tenants_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, TenantViewPtr> cached_ ABSL_GUARDED_BY(mu_);  // where it is not what the registry says
  std::map<std::string, std::string> domains_ ABSL_GUARDED_BY(mu_);
  std::map<uint64_t, std::shared_ptr<Follower>> followers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leasehold::gateway
