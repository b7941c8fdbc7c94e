#include <utility>

#include "common/postgres/postgres.h"

namespace leasehold::postgres {

ConnectionPool::ConnectionPool(ConnectOptions options, int size) : options_(std::move(options)) {
  const absl::MutexLock lock(&mu_);
  for (int i = 0; i < size; ++i) idle_.push_back(std::make_unique<Connection>(options_));
}

ConnectionPool::~ConnectionPool() = default;

ConnectionPool::Handle ConnectionPool::Take() {
  const auto available = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !idle_.empty(); };
  const absl::MutexLock lock(&mu_, absl::Condition(&available));
  // The last one given back: it is the likeliest to be open and warm.
  std::unique_ptr<Connection> connection = std::move(idle_.back());
  idle_.pop_back();
  return Handle(this, std::move(connection));
}

ConnectionPool::Handle::~Handle() {
  if (connection_ == nullptr) return;
  const absl::MutexLock lock(&pool_->mu_);
  pool_->idle_.push_back(std::move(connection_));
}

absl::Status ConnectionPool::InTransaction(const std::function<absl::Status(Transaction&)>& work) {
  Handle connection = Take();
  return connection->InTransaction(work);
}

}  // namespace leasehold::postgres
