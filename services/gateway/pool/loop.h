// The thread on which SQL sessions and server connections live: an epoll loop without locks or allocations on its way.
//
// Why not asio: docs/adr/0007-relay-loop.md.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/gateway/pool/giving_way.h"

namespace leasehold::gateway {

// Post from any thread, Start and Stop from any but the loop's; everything else on the loop.
class Loop {
 public:
  using Work = std::move_only_function<void()>;

  // Told of changes in a socket's readiness: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR. Edge-triggered: each is
  // told once, until a read or a write has met "would block".
  class Watcher {
   public:
    virtual void OnReady(uint32_t events) = 0;
    // On whose account this is, a tenant's mostly; the loop counts there. Of what is ready at the same time,
    // everybody's first comes before anybody's second: who has much to do does not hold up who has little. nullptr:
    // nobody's.
    virtual uint32_t* Account() { return nullptr; }

   protected:
    ~Watcher() = default;
  };

  Loop();
  ~Loop();  // Stop()
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  enum class Turns : uint8_t {
    kShort,  // microseconds of work at a time, on which others wait: soon on a core when woken, briefly there
    kLong,   // milliseconds too
  };
  void Start(Turns turns = Turns::kShort);
  void Stop();  // joins; idempotent
  void Post(Work work);

  void Watch(int fd, Watcher& watcher);
  // A socket that several loops accept from. Level-triggered; of loops that sleep, not all are woken.
  void WatchListener(int fd, Watcher& watcher);
  // Before the socket is closed. Nothing is told any more, also of what this round has gathered.
  void Forget(int fd, const Watcher& watcher);

  // After what this round has gathered: for going on later, and for destroying who is being called.
  void Defer(Work work) { deferred_.push_back(std::move(work)); }

  using TimerId = std::pair<int64_t, uint64_t>;
  TimerId After(absl::Duration delay, Work work);
  void Cancel(TimerId timer) { timers_.erase(timer); }

  // CLOCK_MONOTONIC as of the start of this round.
  absl::Duration now() const { return absl::Nanoseconds(now_ns_); }

  // What is read lands here first: one buffer for all connections, so that an idle one has none. What is left over at
  // the end of a callback must be copied.
  std::span<char> scratch() { return {scratch_.get(), kScratchSize}; }
  static constexpr size_t kScratchSize = 64 * 1024;

 private:
  void Run();
  void Dispatch(int count);
  void TakeTurns();
  void RunPosted();
  void RunDeferred();
  void RunTimers();
  void NoteParty(const void* party);
  int WaitMillis() const;
  void ReadClock();

  static constexpr int kBatch = 512;

  const int epoll_fd_;
  const int wake_fd_;
  std::array<epoll_event, kBatch> events_;
  int gathered_ = 0;
  int next_ = 0;
  int64_t now_ns_ = 0;
  std::array<const void*, 4> latest_{};  // a client and its server are two
  size_t latest_at_ = 0;
  int crowd_ = 0;
  GivingWay giving_way_;
  std::unique_ptr<char[]> scratch_;
  std::vector<Work> deferred_;
  std::map<TimerId, Work> timers_;  // by due time
  uint64_t last_timer_ = 0;

  absl::Mutex mu_;
  std::vector<Work> posted_ ABSL_GUARDED_BY(mu_);
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace leasehold::gateway
