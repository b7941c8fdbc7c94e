#include "services/gateway/pool/loop.h"

#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <exception>
#include <tuple>
#include <utility>

#include "common/telemetry/log.h"

namespace leasehold::gateway {
namespace {

// Before it sleeps, a loop with traffic gives way to whoever else wants the core and looks again: answers that come
// meanwhile are found in one batch, and who sent them did not have to wake a sleeper. Beyond this many empty looks
// there is no traffic.
constexpr int kLooks = 3;
// … unless many connections are at it: then the loop finds work each time it looks, and sleeping in between lets it
// come back sooner. After an event of a connection that was not among the latest, for so many events.
constexpr int kCrowd = 64;

// Of the scheduler, since Linux 6.12; older ones take no notice. Who asks for a slice has an earlier deadline, and on
// waking goes before those that compute; what it gets in all stays the same.
constexpr uint64_t kSliceNanos = 500'000;

void AskForShortSlices() {
  sched_attr attributes{};
  if (sched_getattr(0, &attributes, sizeof(attributes), 0) != 0 || attributes.sched_policy != SCHED_OTHER) return;
  attributes.sched_runtime = kSliceNanos;
  sched_setattr(0, &attributes, 0);
}

// A defect of one session must not take the others along: neither what they are told in this round nor their work.
template <typename Call>
void Guarded(Call&& call) {
  try {
    std::forward<Call>(call)();
  } catch (const std::exception& thrown) {
    Log(Level::kError, "exception on an event loop", {{"what", thrown.what()}});
  }
}

}  // namespace

Loop::Loop()
    : epoll_fd_(epoll_create1(EPOLL_CLOEXEC)),
      wake_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      scratch_(std::make_unique_for_overwrite<char[]>(kScratchSize)) {
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event);
  ReadClock();
}

Loop::~Loop() {
  Stop();
  close(wake_fd_);
  close(epoll_fd_);
}

void Loop::Start(Turns turns) {
  thread_ = std::thread([this, turns] {
    if (turns == Turns::kShort) AskForShortSlices();
    Run();
  });
}

void Loop::Stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  Post([] {});
  thread_.join();
  // What was posted or deferred too late is dropped, and what it holds with it.
  absl::MutexLock lock(&mu_);
  posted_.clear();
}

void Loop::Post(Work work) {
  bool first = false;
  {
    absl::MutexLock lock(&mu_);
    first = posted_.empty();
    posted_.push_back(std::move(work));
  }
  if (!first) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t ignored = write(wake_fd_, &one, sizeof(one));
}

void Loop::Watch(int fd, Watcher& watcher) {
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = &watcher}};
  epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event);
}

void Loop::WatchListener(int fd, Watcher& watcher) {
  epoll_event event{.events = EPOLLIN | EPOLLEXCLUSIVE, .data = {.ptr = &watcher}};
  epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event);
}

void Loop::Forget(int fd, const Watcher& watcher) {
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
  for (int i = next_; i < gathered_; ++i) {
    epoll_event& event = events_[static_cast<size_t>(i)];
    if (event.data.ptr == &watcher) event.events = 0;
  }
}

Loop::TimerId Loop::After(absl::Duration delay, Work work) {
  const TimerId id(now_ns_ + absl::ToInt64Nanoseconds(delay), ++last_timer_);
  timers_.emplace(id, std::move(work));
  return id;
}

void Loop::ReadClock() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  now_ns_ = int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

int Loop::WaitMillis() const {
  if (!deferred_.empty()) return 0;
  if (timers_.empty()) return -1;
  const int64_t left = timers_.begin()->first.first - now_ns_;
  return left <= 0 ? 0 : static_cast<int>(std::min<int64_t>((left + 999'999) / 1'000'000, 60'000));
}

void Loop::Run() {
  int looks = kLooks;
  while (!stopping_) {
    const int patience = WaitMillis();
    const bool gives_way = looks < kLooks && patience != 0 && crowd_ == 0 && giving_way_.IsWorthIt(now_ns_);
    const int count = epoll_wait(epoll_fd_, events_.data(), kBatch, gives_way ? 0 : patience);
    if (count == 0 && gives_way) {
      ++looks;
      ReadClock();
      const int64_t begin = now_ns_;
      sched_yield();
      ReadClock();
      giving_way_.Took(begin, now_ns_);
      continue;
    }
    if (count > 0) looks = 0;
    ReadClock();
    Dispatch(std::max(count, 0));
    RunTimers();
    RunDeferred();
  }
}

void Loop::Dispatch(int count) {
  gathered_ = count;
  TakeTurns();
  for (next_ = 0; next_ < gathered_;) {
    const epoll_event event = events_[static_cast<size_t>(next_++)];
    if (event.events == 0) continue;
    NoteParty(event.data.ptr);
    if (event.data.ptr == nullptr) {
      RunPosted();
    } else {
      Guarded([&] { static_cast<Watcher*>(event.data.ptr)->OnReady(event.events); });
    }
  }
  gathered_ = next_ = 0;
}

void Loop::TakeTurns() {
  if (gathered_ < 3) return;
  struct Turn {
    uint32_t turn;
    uint32_t place;
    bool operator<(const Turn& other) const { return std::tie(turn, place) < std::tie(other.turn, other.place); }
  };
  std::array<Turn, kBatch> turns;
  const auto count = static_cast<uint32_t>(gathered_);
  const auto account = [this](uint32_t i) -> uint32_t* {
    return events_[i].data.ptr == nullptr ? nullptr : static_cast<Watcher*>(events_[i].data.ptr)->Account();
  };
  bool in_order = true;
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t* const so_far = account(i);
    turns[i] = {.turn = so_far == nullptr ? 0 : (*so_far)++, .place = i};
    in_order = in_order && (i == 0 || !(turns[i] < turns[i - 1]));
  }
  for (uint32_t i = 0; i < count; ++i) {
    if (uint32_t* const so_far = account(i)) *so_far = 0;
  }
  if (in_order) return;
  std::sort(turns.begin(), turns.begin() + count);
  std::array<epoll_event, kBatch> sorted;
  for (uint32_t i = 0; i < count; ++i) sorted[i] = events_[turns[i].place];
  std::copy_n(sorted.begin(), count, events_.begin());
}

void Loop::NoteParty(const void* party) {
  if (std::ranges::contains(latest_, party)) {
    if (crowd_ > 0) --crowd_;
    return;
  }
  latest_[latest_at_++ % latest_.size()] = party;
  crowd_ = kCrowd;
}

void Loop::RunPosted() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t ignored = read(wake_fd_, &count, sizeof(count));
  std::vector<Work> work;
  {
    absl::MutexLock lock(&mu_);
    work.swap(posted_);
  }
  for (Work& one : work) Guarded(one);
}

void Loop::RunDeferred() {
  std::vector<Work> work;
  work.swap(deferred_);
  for (Work& one : work) Guarded(one);
}

void Loop::RunTimers() {
  while (!timers_.empty() && timers_.begin()->first.first <= now_ns_) {
    const auto due = timers_.extract(timers_.begin());
    Guarded(due.mapped());
  }
}

}  // namespace leasehold::gateway
