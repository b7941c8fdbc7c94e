#include <ranges>
#include <utility>

#include "common/postgres/postgres.h"

namespace leasehold::postgres {

ConnectionPool::ConnectionPool(ConnectOptions options, int size, const Clock* clock)
    : options_(std::move(options)), clock_(clock) {
  const absl::MutexLock lock(&mu_);
  for (int i = 0; i < size; ++i) idle_.push_back({std::make_unique<Connection>(options_), absl::InfiniteFuture()});
}

ConnectionPool::~ConnectionPool() = default;

ConnectionPool::Handle ConnectionPool::Take() {
  const auto available = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !idle_.empty(); };
  const absl::MutexLock lock(&mu_, absl::Condition(&available));
  // The last one given back: it is the likeliest to be open and warm.
  std::unique_ptr<Connection> connection = std::move(idle_.back().connection);
  idle_.pop_back();
  return Handle(this, std::move(connection));
}

void ConnectionPool::GiveBack(std::unique_ptr<Connection> connection) {
  {
    const absl::MutexLock lock(&mu_);
    idle_.push_back({std::move(connection), clock_ == nullptr ? absl::InfiniteFuture() : clock_->Now()});
  }
  CloseIdle();
}

void ConnectionPool::CloseIdle() {
  if (clock_ == nullptr) return;
  std::vector<std::unique_ptr<Connection>> closed;  // without the lock
  const absl::MutexLock lock(&mu_);
  const absl::Time unused_since = clock_->Now() - kIdleTimeout;
  bool is_first = true;
  for (Idle& idle : std::views::reverse(idle_)) {
    if (idle.since == absl::InfiniteFuture() || std::exchange(is_first, false) || idle.since > unused_since) continue;
    closed.push_back(std::exchange(idle.connection, std::make_unique<Connection>(options_)));
    idle.since = absl::InfiniteFuture();
  }
}

ConnectionPool::Handle::~Handle() {
  if (connection_ != nullptr) pool_->GiveBack(std::move(connection_));
}

absl::Status ConnectionPool::InTransaction(const std::function<absl::Status(Transaction&)>& work) {
  Handle connection = Take();
  return connection->InTransaction(work);
}

}  // namespace leasehold::postgres
