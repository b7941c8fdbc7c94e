#include "common/executor/worker_thread.h"

#include <utility>

namespace leasehold {

WorkerThread::~WorkerThread() { Stop(); }

void WorkerThread::Start(std::function<void()> body) {
  {
    const absl::MutexLock lock(&mu_);
    running_ = true;
  }
  thread_ = std::thread([this, body = std::move(body)] {
    body();
    const absl::MutexLock lock(&mu_);
    running_ = false;
  });
}

void WorkerThread::StartEvery(absl::Duration period, std::function<void()> work) {
  Start([this, period, work = std::move(work)] {
    for (Rest(period, Until::kStopping); !Stopping(); Rest(period, Until::kStopping)) work();
  });
}

void WorkerThread::RequestStop() {
  const absl::MutexLock lock(&mu_);
  stopping_ = woken_ = true;
}

bool WorkerThread::Stop(absl::Duration patience) {
  RequestStop();
  {
    const absl::MutexLock lock(&mu_);
    const auto ended = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !running_; };
    if (!mu_.AwaitWithTimeout(absl::Condition(&ended), patience)) return false;
  }
  if (thread_.joinable()) thread_.join();
  return true;
}

bool WorkerThread::Stopping() const {
  const absl::MutexLock lock(&mu_);
  return stopping_;
}

void WorkerThread::Wake() {
  const absl::MutexLock lock(&mu_);
  woken_ = true;
}

void WorkerThread::Rest(absl::Duration most, Until until) {
  const absl::MutexLock lock(&mu_);
  mu_.AwaitWithTimeout(absl::Condition(until == Until::kWoken ? &woken_ : &stopping_), most);
  if (until == Until::kWoken) woken_ = stopping_;
}

}  // namespace leasehold
