#include "services/gateway/lease/watchers.h"

#include <utility>
#include <vector>

namespace leasehold::gateway {

void LeaseWatchers::Bell::Ring(const absl::Status& why) {
  OnEnd on_end;
  {
    absl::MutexLock lock(&mu_);
    if (!on_end_) return;
    on_end = std::exchange(on_end_, nullptr);
    ringing_ = std::this_thread::get_id();
  }
  on_end(why);
  on_end = nullptr;  // what it captured goes before Silence() returns
  absl::MutexLock lock(&mu_);
  ringing_ = std::thread::id();
}

void LeaseWatchers::Bell::Silence() {
  OnEnd dropped;
  absl::MutexLock lock(&mu_);
  dropped = std::exchange(on_end_, nullptr);
  const auto quiet = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return ringing_ == std::thread::id(); };
  if (ringing_ != std::this_thread::get_id()) mu_.Await(absl::Condition(&quiet));
}

LeaseWatchers::Watch::~Watch() {
  {
    Shard& shard = table_->ShardOf(id_);
    absl::MutexLock lock(&shard.mu);
    const auto found = shard.leases.find(id_);
    found->second.bells.erase(bell_);
    if (kind_ == Kind::kSession) --found->second.sessions;
    if (found->second.bells.empty()) shard.leases.erase(found);
  }
  bell_->Silence();
}

std::unique_ptr<LeaseWatchers::Watch> LeaseWatchers::Add(const LeaseId& id, Kind kind, OnEnd on_end) {
  auto bell = std::make_shared<Bell>(std::move(on_end));
  Shard& shard = ShardOf(id);
  absl::MutexLock lock(&shard.mu);
  OfLease& lease = shard.leases[id];
  lease.bells.insert(bell);
  if (kind == Kind::kSession) ++lease.sessions;
  return std::unique_ptr<Watch>(new Watch(this, id, kind, std::move(bell)));
}

void LeaseWatchers::End(const LeaseId& id, const absl::Status& why) {
  std::vector<std::shared_ptr<Bell>> bells;
  {
    Shard& shard = ShardOf(id);
    absl::MutexLock lock(&shard.mu);
    const auto found = shard.leases.find(id);
    if (found == shard.leases.end()) return;
    bells.assign(found->second.bells.begin(), found->second.bells.end());
  }
  for (const auto& bell : bells) bell->Ring(why);
}

int LeaseWatchers::Sessions(const LeaseId& id) const {
  Shard& shard = ShardOf(id);
  absl::MutexLock lock(&shard.mu);
  const auto found = shard.leases.find(id);
  return found == shard.leases.end() ? 0 : found->second.sessions;
}

}  // namespace leasehold::gateway
