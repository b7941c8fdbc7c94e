#include "services/gateway/registry/registry_directory.h"

#include <algorithm>
#include <format>
#include <iterator>
#include <utility>

#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

constexpr size_t kBatch = 500;

absl::Status NotFound(const TenantId& id) {
  return Error(v1::REASON_TENANT_NOT_FOUND, std::format("there is no tenant {}", id.str()));
}

absl::Status ShuttingDown() { return Error(v1::REASON_SHUTTING_DOWN, "the gateway is overloaded or shutting down"); }

// Called by those who could not even start a load.
void Refuse(std::vector<TenantDirectory::Callback> callbacks) {
  for (TenantDirectory::Callback& done : callbacks) done(ShuttingDown());
}

}  // namespace

TenantViewPtr ViewOf(const v1::Tenant& tenant) {
  absl::StatusOr<TenantId> id = TenantId::Parse(tenant.id());
  if (!id.ok()) return nullptr;
  auto view = std::make_shared<TenantView>(
      TenantView{.id = *std::move(id), .state = tenant.state(), .generation = tenant.generation(), .services = {}});
  for (const v1::ServiceStatus& status : tenant.services()) {
    view->services[status.service()] = {
        .state = status.state(), .database_id = status.database_id(), .generation = status.generation()};
  }
  view->settings = {tenant.settings().begin(), tenant.settings().end()};
  return view;
}

RegistryDirectory::RegistryDirectory(Source source, Executor& executor, const Clock& clock, Limits limits)
    : source_(std::move(source)), executor_(executor), clock_(clock), limits_(limits) {
  thread_ = std::thread([this] { Pace(); });
}

RegistryDirectory::~RegistryDirectory() { Stop(); }

void RegistryDirectory::Lookup(const TenantId& id, WillDo will_do, Callback done) {
  TenantViewPtr cached;
  std::vector<Callback> refused;
  {
    absl::MutexLock lock(&mu_);
    const absl::Time now = clock_.Now();
    const Entry* entry = Find(id);
    const bool current = entry && !entry->changed && now - entry->read_at < limits_.ttl;
    if (entry && (current || down_) && will_do(*entry->view)) {
      cached = entry->view;
    } else if (entry && (current || down_) && now - entry->tried_at < limits_.spacing && !stopped_) {
      const auto [at, first] = postponed_.try_emplace(id);
      at->second.callbacks.push_back(std::move(done));
      at->second.until = entry->tried_at + limits_.spacing;
      if (first) pulse_.Wake();
    } else {
      waiting_[id].push_back(std::move(done));
      refused = Pump();
    }
  }
  if (cached) done(std::move(cached));
  Refuse(std::move(refused));
}

void RegistryDirectory::LookupDomain(const std::string& domain, Callback done) {
  auto shared = std::make_shared<Callback>(std::move(done));
  const bool accepted = executor_.Submit([this, domain, shared] {
    const absl::StatusOr<v1::Tenant> tenant = source_.read_domain(domain);
    if (tenant.ok()) {
      (*shared)(ViewOf(*tenant));
    } else {
      (*shared)(tenant.status());
    }
  });
  if (!accepted) (*shared)(ShuttingDown());
}

TenantDirectory::Handle RegistryDirectory::Follow(const TenantId& id,
                                                  std::function<void(absl::StatusOr<TenantViewPtr>)> on_change) {
  auto [follower, handle] = followers_->Add(
      id, [on_change = std::move(on_change)](const TenantId&, TenantNews news) { on_change(std::move(news)); });
  std::vector<Callback> refused;
  {
    absl::MutexLock lock(&mu_);
    const Entry* entry = Find(id);
    if (entry) follower->Post(id, entry->view);
    if (!entry || entry->changed || clock_.Now() - entry->read_at >= limits_.ttl) dirty_.insert(id);
    refused = Pump();
  }
  Refuse(std::move(refused));
  follower->Deliver();
  return std::move(handle);
}

TenantDirectory::Handle RegistryDirectory::FollowAll(
    std::function<void(const TenantId& id, absl::StatusOr<TenantViewPtr>)> on_change) {
  return followers_->Add(std::nullopt, std::move(on_change)).second;
}

void RegistryDirectory::Changed(const TenantId& id) {
  std::vector<Callback> refused;
  {
    absl::MutexLock lock(&mu_);
    const auto found = index_.find(id);
    if (found != index_.end()) found->second->changed = true;
    // What is being loaded, or waits to be, is loaded again too: it may have been read before the change.
    if (found != index_.end() || loading_ || followers_->Any(id)) dirty_.insert(id);
    refused = Pump();
  }
  Refuse(std::move(refused));
}

void RegistryDirectory::ChangesMissed() {
  std::vector<Callback> refused;
  {
    absl::MutexLock lock(&mu_);
    for (Entry& entry : entries_) {
      entry.changed = true;
      dirty_.insert(entry.id);
    }
    for (const TenantId& id : followers_->Followed()) dirty_.insert(id);
    if (followers_->AnyOfAll()) list_after_ = "";
    down_ = false;
    refused = Pump();
  }
  Refuse(std::move(refused));
}

void RegistryDirectory::Retry() {
  std::vector<Callback> refused;
  {
    absl::MutexLock lock(&mu_);
    down_ = false;
    refused = Pump();
  }
  Refuse(std::move(refused));
}

void RegistryDirectory::Stop() {
  std::vector<Callback> refused;
  {
    absl::MutexLock lock(&mu_);
    stopped_ = true;
    TakeTurns(absl::InfiniteFuture());
    refused = Pump();
  }
  Refuse(std::move(refused));
  pulse_.Stop();
  if (thread_.joinable()) thread_.join();
}

void RegistryDirectory::Pace() {
  absl::Duration patience;
  do {
    std::vector<Callback> refused;
    {
      absl::MutexLock lock(&mu_);
      const absl::Time now = clock_.Now();
      patience = TakeTurns(now) - now;
      refused = Pump();
    }
    Refuse(std::move(refused));
  } while (pulse_.Wait(patience));
}

absl::Time RegistryDirectory::TakeTurns(absl::Time now) {
  absl::Time next = absl::InfiniteFuture();
  for (auto at = postponed_.begin(); at != postponed_.end();) {
    if (at->second.until > now) {
      next = std::min(next, at->second.until);
      ++at;
      continue;
    }
    std::ranges::move(at->second.callbacks, std::back_inserter(waiting_[at->first]));
    at = postponed_.erase(at);
  }
  return next;
}

std::vector<TenantDirectory::Callback> RegistryDirectory::Pump() {
  std::vector<Callback> refused;
  const bool background = !down_ && (!dirty_.empty() || list_after_);
  if (loading_ || (waiting_.empty() && !background)) return refused;
  loading_ = executor_.Submit([this] { Load(); });
  if (loading_) return refused;
  for (auto& [id, callbacks] : waiting_) {
    for (Callback& done : callbacks) refused.push_back(std::move(done));
  }
  waiting_.clear();
  return refused;
}

void RegistryDirectory::Load() {
  std::vector<TenantId> batch;
  std::map<TenantId, std::vector<Callback>> asked;
  std::optional<std::string> list_after;
  {
    absl::MutexLock lock(&mu_);
    while (!waiting_.empty() && batch.size() < kBatch) {
      auto next = waiting_.extract(waiting_.begin());
      batch.push_back(next.key());
      dirty_.erase(next.key());
      asked.insert(std::move(next));
    }
    while (!down_ && !dirty_.empty() && batch.size() < kBatch) {
      batch.push_back(*dirty_.begin());
      dirty_.erase(dirty_.begin());
    }
    for (const TenantId& id : batch) {
      auto early = postponed_.extract(id);
      if (early) std::ranges::move(early.mapped().callbacks, std::back_inserter(asked[id]));
    }
    if (batch.empty()) list_after = list_after_;
  }
  if (list_after) ListMissed(*list_after);

  absl::StatusOr<std::vector<v1::Tenant>> found;
  if (!batch.empty()) found = source_.read(batch);
  std::map<TenantId, TenantNews> news;
  for (const TenantId& id : batch) news.emplace(id, found.ok() ? NotFound(id) : found.status());
  if (found.ok()) {
    for (const v1::Tenant& tenant : *found) {
      if (TenantViewPtr view = ViewOf(tenant)) news.insert_or_assign(view->id, view);
    }
  }

  std::set<FollowerPtr> told;
  std::vector<Callback> refused;
  {
    absl::MutexLock lock(&mu_);
    if (!batch.empty()) down_ = !found.ok();
    for (auto& [id, state] : news) {
      if (!found.ok()) {
        dirty_.insert(id);  // for Retry()
        if (Entry* entry = Find(id)) {
          entry->tried_at = clock_.Now();
          state = entry->view;
        }
        for (const FollowerPtr& follower : followers_->Of(id)) {
          if (follower->heard_any()) continue;
          follower->Post(id, state);
          told.insert(follower);
        }
        continue;
      }
      if (!state.ok()) {
        Forget(id);
      } else if (asked.contains(id) || index_.contains(id) || followers_->Any(id)) {
        Keep(id, *state);
      }
      for (const FollowerPtr& follower : followers_->Of(id)) {
        follower->Post(id, state);
        told.insert(follower);
      }
    }
  }
  for (auto& [id, callbacks] : asked) {
    for (Callback& done : callbacks) done(news.at(id));
  }
  for (const FollowerPtr& follower : told) follower->Deliver();
  {
    absl::MutexLock lock(&mu_);
    loading_ = false;
    refused = Pump();
  }
  Refuse(std::move(refused));
}

void RegistryDirectory::ListMissed(const std::string& after) {
  const absl::StatusOr<std::vector<TenantId>> ids = source_.list_ids(after, kBatch);
  absl::MutexLock lock(&mu_);
  if (!ids.ok()) {
    down_ = true;
    return;
  }
  if (list_after_ != after) return;  // it began anew
  dirty_.insert(ids->begin(), ids->end());
  if (ids->size() < kBatch) {
    list_after_.reset();
  } else {
    list_after_ = ids->back().str();
  }
}

RegistryDirectory::Entry* RegistryDirectory::Find(const TenantId& id) {
  const auto found = index_.find(id);
  if (found == index_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return &*found->second;
}

void RegistryDirectory::Keep(const TenantId& id, TenantViewPtr view) {
  Entry* entry = Find(id);
  if (!entry) {
    entries_.push_front({.id = id, .view = nullptr, .read_at = {}, .tried_at = {}, .changed = false});
    index_[id] = entries_.begin();
    entry = &entries_.front();
  }
  entry->view = std::move(view);
  entry->read_at = entry->tried_at = clock_.Now();
  entry->changed = dirty_.contains(id);
  if (entries_.size() > limits_.max_entries) {
    index_.erase(entries_.back().id);
    entries_.pop_back();
  }
}

void RegistryDirectory::Forget(const TenantId& id) {
  const auto found = index_.find(id);
  if (found == index_.end()) return;
  entries_.erase(found->second);
  index_.erase(found);
}

}  // namespace leasehold::gateway
