#include "services/gateway/lease/outbox.h"

namespace leasehold::gateway {

void LeaseOutbox::Add(const LeaseId& id, Urgency urgency) {
  absl::MutexLock lock(&mu_);
  const auto [place, fresh] = waiting_.try_emplace(id, urgency);
  if (!fresh) {
    if (place->second >= urgency) return;
    place->second = urgency;
  }
  std::deque<LeaseId>& queue = urgency == Urgency::kChange ? changes_ : news_;
  queue.push_back(id);
  if (queue.size() > (urgency == Urgency::kChange ? kMaxChanges : kMaxNews)) {
    if (Pop(queue, urgency)) ++dropped_;
  }
}

void LeaseOutbox::Add(v1::Revocation revocation) {
  absl::MutexLock lock(&mu_);
  revocations_.push_back(std::move(revocation));
}

std::optional<LeaseOutbox::Item> LeaseOutbox::Take(absl::Duration patience) {
  absl::MutexLock lock(&mu_);
  mu_.AwaitWithTimeout(absl::Condition(this, &LeaseOutbox::HasItem), patience);
  if (!revocations_.empty()) {
    Item item = std::move(revocations_.front());
    revocations_.pop_front();
    return item;
  }
  if (auto item = Pop(changes_, Urgency::kChange)) return item;
  return Pop(news_, Urgency::kNews);
}

void LeaseOutbox::PutBack(Item item) {
  absl::MutexLock lock(&mu_);
  if (auto* revocation = std::get_if<v1::Revocation>(&item)) {
    revocations_.push_front(std::move(*revocation));
    return;
  }
  const Change& change = std::get<Change>(item);
  const auto [place, fresh] = waiting_.try_emplace(change.id, change.urgency);
  if (!fresh && place->second >= change.urgency) return;
  place->second = change.urgency;
  (change.urgency == Urgency::kChange ? changes_ : news_).push_front(change.id);
}

std::optional<LeaseOutbox::Item> LeaseOutbox::Pop(std::deque<LeaseId>& queue, Urgency urgency) {
  while (!queue.empty()) {
    const LeaseId id = std::move(queue.front());
    queue.pop_front();
    const auto place = waiting_.find(id);
    if (place == waiting_.end() || place->second != urgency) continue;
    waiting_.erase(place);
    return Change{id, urgency};
  }
  return std::nullopt;
}

void LeaseOutbox::Close() {
  absl::MutexLock lock(&mu_);
  closed_ = true;
}

size_t LeaseOutbox::urgent() const {
  absl::MutexLock lock(&mu_);
  return revocations_.size() + changes_.size();
}

size_t LeaseOutbox::size() const {
  absl::MutexLock lock(&mu_);
  return revocations_.size() + waiting_.size();
}

uint64_t LeaseOutbox::dropped() const {
  absl::MutexLock lock(&mu_);
  return dropped_;
}

}  // namespace leasehold::gateway
