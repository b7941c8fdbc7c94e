#include "services/provisioner/reconcile/work_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace leasehold::provisioner {

void WorkQueue::Add(const TenantId& id, absl::Time when) {
  const absl::MutexLock lock(&mu_);
  Entry& entry = entries_[id];
  if (entry.due.has_value() && *entry.due <= when) return;
  if (!entry.running) {
    if (entry.due.has_value()) waiting_.erase({*entry.due, id});
    waiting_.emplace(when, id);
  }
  entry.due = when;
  changed_.Signal();
}

std::optional<TenantId> WorkQueue::TakeDue() {
  if (waiting_.empty() || waiting_.begin()->first > clock_.Now()) return std::nullopt;
  TenantId id = waiting_.begin()->second;
  waiting_.erase(waiting_.begin());
  Entry& entry = entries_[id];
  entry.due.reset();
  entry.running = true;
  ++running_;
  return id;
}

std::optional<TenantId> WorkQueue::TryTake() {
  const absl::MutexLock lock(&mu_);
  return TakeDue();
}

std::optional<TenantId> WorkQueue::Take() {
  const absl::MutexLock lock(&mu_);
  while (!stopping_) {
    if (std::optional<TenantId> id = TakeDue()) return id;
    // Never longer than a second, so that a clock that was set is noticed.
    absl::Duration wait = absl::Seconds(1);
    if (!waiting_.empty()) wait = std::min(wait, waiting_.begin()->first - clock_.Now());
    changed_.WaitWithTimeout(&mu_, wait);
  }
  return std::nullopt;
}

void WorkQueue::Done(const TenantId& id) {
  const absl::MutexLock lock(&mu_);
  const auto it = entries_.find(id);
  if (it == entries_.end()) return;
  it->second.running = false;
  if (!std::exchange(it->second.long_running, false) && --running_ == 0) quiet_.SignalAll();
  if (!it->second.due.has_value()) {
    entries_.erase(it);
    return;
  }
  waiting_.emplace(*it->second.due, id);
  changed_.Signal();
}

void WorkQueue::WillTakeLong(const TenantId& id) {
  const absl::MutexLock lock(&mu_);
  const auto it = entries_.find(id);
  if (it == entries_.end() || !it->second.running || std::exchange(it->second.long_running, true)) return;
  if (--running_ == 0) quiet_.SignalAll();
}

bool WorkQueue::IsQuiet() const {
  return running_ == 0 && (waiting_.empty() || waiting_.begin()->first > clock_.Now());
}

bool WorkQueue::AwaitQuiet(absl::Duration patience) {
  const absl::Time end = clock_.Now() + patience;
  const absl::MutexLock lock(&mu_);
  while (!stopping_ && !IsQuiet()) {
    const absl::Duration left = end - clock_.Now();
    if (left <= absl::ZeroDuration()) return false;
    quiet_.WaitWithTimeout(&mu_, std::min(left, absl::Seconds(1)));
  }
  return !stopping_;
}

WorkQueue::Counts WorkQueue::Count() const {
  const absl::Time now = clock_.Now();
  const absl::MutexLock lock(&mu_);
  const auto due_ends = std::ranges::upper_bound(waiting_, now, {}, [](const auto& waiting) { return waiting.first; });
  Counts counts{.due = static_cast<int>(std::distance(waiting_.begin(), due_ends))};
  counts.later = static_cast<int>(waiting_.size()) - counts.due;
  counts.working =
      static_cast<int>(std::ranges::count_if(entries_, [](const auto& entry) { return entry.second.running; }));
  return counts;
}

void WorkQueue::Stop() {
  const absl::MutexLock lock(&mu_);
  stopping_ = true;
  quiet_.SignalAll();
  changed_.SignalAll();
}

}  // namespace leasehold::provisioner
