// The hard cap on server connections to one instance: permits, given out first come, first served, over all loops.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/steady_timer.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace leasehold::gateway {

// Any thread. Held by shared_ptr: permits outlive whoever gave them.
class ConnectionCap : public std::enable_shared_from_this<ConnectionCap> {
 public:
  // The right to one server connection, from before it is dialled until PostgreSQL has closed it. Given back on drop.
  class Permit {
   public:
    Permit(Permit&& other) noexcept : cap_(std::move(other.cap_)) {}
    Permit& operator=(Permit&&) = delete;
    ~Permit() {
      if (cap_) cap_->GiveBack();
    }

   private:
    friend class ConnectionCap;
    explicit Permit(std::shared_ptr<ConnectionCap> cap) : cap_(std::move(cap)) {}
    std::shared_ptr<ConnectionCap> cap_;
  };

  explicit ConnectionCap(int limit) : limit_(limit) {}

  // On the caller's loop. nullopt: none came free within `patience`, or the caller was cancelled.
  asio::awaitable<std::optional<Permit>> Take(absl::Duration patience);

  // Nobody is waked any more: the loops are about to go.
  void Shutdown();

  // False: some permits were still out after `patience`. Blocks: not on a loop.
  bool AwaitNone(absl::Duration patience) const;

  int in_use() const;
  int waiting() const;

 private:
  struct Waiter {
    explicit Waiter(asio::steady_timer t) : timer(std::move(t)) {}
    asio::steady_timer timer;
    bool granted = false;  // guarded by the cap's mu_
  };

  void GiveBack();

  const int limit_;
  mutable absl::Mutex mu_;
  int in_use_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<std::shared_ptr<Waiter>> waiters_ ABSL_GUARDED_BY(mu_);
  bool shut_down_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace leasehold::gateway
