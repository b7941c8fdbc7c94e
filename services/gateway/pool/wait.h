// Waiting on an event loop. One loop each; nothing here blocks.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>

#include "absl/time/time.h"

namespace leasehold::gateway {

// Coroutines wait for something that others on the same loop change:
//   while (!condition && !ended) co_await wakeup.Wait();
// Wait() also returns when the waiting coroutine is cancelled, and may return for nothing.
class Wakeup {
 public:
  explicit Wakeup(const asio::any_io_executor& loop) : timer_(loop, std::chrono::steady_clock::time_point::max()) {}
  asio::awaitable<void> Wait();
  void NotifyAll() { timer_.cancel(); }

 private:
  asio::steady_timer timer_;
};

// Calls `on_time` once `after` has passed, unless it is dropped before.
class Alarm {
 public:
  Alarm(const asio::any_io_executor& loop, absl::Duration after, std::move_only_function<void()> on_time);
  ~Alarm();
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

  bool rang() const { return state_->rang; }

 private:
  struct State {
    std::move_only_function<void()> on_time;  // empty: dropped
    bool rang = false;
  };
  std::shared_ptr<State> state_;
  asio::steady_timer timer_;
};

// A pause that cancellation cuts short.
asio::awaitable<void> Pause(absl::Duration duration);

}  // namespace leasehold::gateway
