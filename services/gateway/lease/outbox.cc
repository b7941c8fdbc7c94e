#include "services/gateway/lease/outbox.h"

#include <ranges>

#include "absl/time/clock.h"

namespace leasehold::gateway {

void LeaseOutbox::Add(const LeaseId& id, Urgency urgency) {
  absl::MutexLock lock(&mu_);
  const auto [place, fresh] = waiting_.try_emplace(id, urgency);
  if (!fresh) {
    if (place->second >= urgency) return;
    place->second = urgency;
  }
  std::deque<LeaseId>& queue = QueueOf(urgency);
  queue.push_back(id);
  if (queue.size() > (urgency == Urgency::kChange ? kMaxChanges : kMaxNews)) {
    if (Pop(urgency)) ++dropped_;
  }
  Wake();
}

void LeaseOutbox::Add(v1::Revocation revocation) {
  absl::MutexLock lock(&mu_);
  revocations_.push_back(std::move(revocation));
  Wake();
}

std::optional<LeaseOutbox::Item> LeaseOutbox::Take(absl::Duration patience, size_t max_news) {
  absl::MutexLock lock(&mu_);
  wants_news_ = max_news > 0;
  waits_ = true;
  for (const absl::Time end = absl::Now() + patience; !Ready();) {
    if (ready_.WaitWithDeadline(&mu_, end)) break;
  }
  waits_ = false;
  if (!revocations_.empty()) {
    Item item = std::move(revocations_.front());
    revocations_.pop_front();
    return item;
  }
  if (auto id = Pop(Urgency::kChange)) return Change{*std::move(id)};
  News news;
  while (news.size() < max_news) {
    auto id = Pop(Urgency::kNews);
    if (!id) break;
    news.push_back(*std::move(id));
  }
  if (news.empty()) return std::nullopt;
  return news;
}

void LeaseOutbox::PutBack(Item item) {
  absl::MutexLock lock(&mu_);
  if (auto* revocation = std::get_if<v1::Revocation>(&item)) {
    revocations_.push_front(std::move(*revocation));
    return;
  }
  if (const auto* change = std::get_if<Change>(&item)) return PutBack(change->id, Urgency::kChange);
  for (const LeaseId& id : std::views::reverse(std::get<News>(item))) PutBack(id, Urgency::kNews);
}

void LeaseOutbox::PutBack(const LeaseId& id, Urgency urgency) {
  const auto [place, fresh] = waiting_.try_emplace(id, urgency);
  if (!fresh && place->second >= urgency) return;
  place->second = urgency;
  QueueOf(urgency).push_front(id);
}

std::optional<LeaseId> LeaseOutbox::Pop(Urgency urgency) {
  std::deque<LeaseId>& queue = QueueOf(urgency);
  while (!queue.empty()) {
    LeaseId id = std::move(queue.front());
    queue.pop_front();
    const auto place = waiting_.find(id);
    if (place == waiting_.end() || place->second != urgency) continue;
    waiting_.erase(place);
    return id;
  }
  return std::nullopt;
}

void LeaseOutbox::Close() {
  absl::MutexLock lock(&mu_);
  closed_ = true;
  Wake();
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
