#include "services/gateway/pool/connection_cap.h"

#include <algorithm>
#include <asio/post.hpp>
#include <asio/this_coro.hpp>

#include "services/gateway/pool/stream.h"

namespace leasehold::gateway {

asio::awaitable<std::optional<ConnectionCap::Permit>> ConnectionCap::Take(absl::Duration patience) {
  auto waiter = std::make_shared<Waiter>(
      asio::steady_timer(co_await asio::this_coro::executor, absl::ToChronoNanoseconds(patience)));
  {
    absl::MutexLock lock(&mu_);
    if (shut_down_) co_return std::nullopt;
    if (in_use_ < limit_ && waiters_.empty()) {
      ++in_use_;
      co_return Permit(shared_from_this());
    }
    waiters_.push_back(waiter);
  }
  co_await waiter->timer.async_wait(kAwait);
  absl::MutexLock lock(&mu_);
  if (waiter->granted) co_return Permit(shared_from_this());
  std::erase(waiters_, waiter);
  co_return std::nullopt;
}

void ConnectionCap::GiveBack() {
  absl::MutexLock lock(&mu_);
  if (waiters_.empty() || shut_down_) {
    --in_use_;
    return;
  }
  // The permit passes to the one who has waited longest; its timer may only be touched on its own loop.
  std::shared_ptr<Waiter> next = std::move(waiters_.front());
  waiters_.pop_front();
  next->granted = true;
  const auto loop = next->timer.get_executor();
  asio::post(loop, [next = std::move(next)] { next->timer.cancel(); });
}

void ConnectionCap::Shutdown() {
  absl::MutexLock lock(&mu_);
  shut_down_ = true;
  waiters_.clear();
}

bool ConnectionCap::AwaitNone(absl::Duration patience) const {
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(+[](const int* in_use) { return *in_use == 0; }, &in_use_), patience);
}

int ConnectionCap::in_use() const {
  absl::MutexLock lock(&mu_);
  return in_use_;
}

int ConnectionCap::waiting() const {
  absl::MutexLock lock(&mu_);
  return static_cast<int>(waiters_.size());
}

}  // namespace leasehold::gateway
