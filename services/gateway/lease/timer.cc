#include "services/gateway/lease/timer.h"

#include <algorithm>
#include <utility>

namespace leasehold::gateway {

namespace {

// To the next look at the clock: it may have been set.
constexpr absl::Duration kLongestSleep = absl::Seconds(1);

}  // namespace

Timer::~Timer() { Stop(); }

void Timer::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Timer::Stop() {
  std::vector<Entry> dropped;  // destroyed without the lock: tasks own things with destructors of their own
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    dropped.swap(heap_);
  }
  if (thread_.joinable()) thread_.join();
}

void Timer::Add(absl::Time when, absl::Duration longest, Task task) {
  absl::MutexLock lock(&mu_);
  if (stopping_) return;
  const uint64_t number = next_number_++;
  heap_.push_back({when, longest, number, std::move(task)});
  std::ranges::push_heap(heap_, Later());
  if (heap_.front().number == number) earlier_ = true;
}

void Timer::Every(absl::Duration period, std::function<void()> task) {
  After(period, [this, period, task = std::move(task)]() mutable {
    task();
    Every(period, std::move(task));
  });
}

void Timer::NoteClock() {
  absl::MutexLock lock(&mu_);
  const absl::Time now = clock_.Now();
  if (now < seen_) {
    for (Entry& entry : heap_) entry.when = std::min(entry.when, now + entry.longest);
    std::ranges::make_heap(heap_, Later());
  }
  seen_ = now;
}

void Timer::Tick() {
  NoteClock();
  while (RunOne()) {
  }
}

bool Timer::RunOne() {
  Entry due;
  {
    absl::MutexLock lock(&mu_);
    if (stopping_ || heap_.empty() || heap_.front().when > clock_.Now()) return false;
    std::ranges::pop_heap(heap_, Later());
    due = std::move(heap_.back());
    heap_.pop_back();
  }
  due.task();
  return true;
}

void Timer::Run() {
  while (true) {
    Tick();
    absl::MutexLock lock(&mu_);
    if (stopping_) return;
    const absl::Time next = heap_.empty() ? absl::InfiniteFuture() : heap_.front().when;
    earlier_ = false;
    const auto changed = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return stopping_ || earlier_; };
    mu_.AwaitWithTimeout(absl::Condition(&changed), std::min(next - clock_.Now(), kLongestSleep));
  }
}

}  // namespace leasehold::gateway
