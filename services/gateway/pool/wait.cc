#include "services/gateway/pool/wait.h"

#include <asio/this_coro.hpp>
#include <utility>

#include "services/gateway/pool/stream.h"

namespace leasehold::gateway {

asio::awaitable<void> Wakeup::Wait() { co_await timer_.async_wait(kAwait); }

Alarm::Alarm(const asio::any_io_executor& loop, absl::Duration after, std::move_only_function<void()> on_time)
    : state_(std::make_shared<State>(State{.on_time = std::move(on_time)})),
      timer_(loop, absl::ToChronoNanoseconds(after)) {
  timer_.async_wait([state = state_](std::error_code error) {
    if (error || !state->on_time) return;
    state->rang = true;
    std::exchange(state->on_time, nullptr)();
  });
}

Alarm::~Alarm() { state_->on_time = nullptr; }

asio::awaitable<void> Pause(absl::Duration duration) {
  asio::steady_timer timer(co_await asio::this_coro::executor, absl::ToChronoNanoseconds(duration));
  co_await timer.async_wait(kAwait);
}

}  // namespace leasehold::gateway
