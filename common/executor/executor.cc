#include "common/executor/executor.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

namespace leasehold {

namespace {
constexpr size_t kMaxThreadName = 15;  // the kernel's
}  // namespace

Executor::Executor(std::string name, int threads) {
  name.resize(std::min(name.size(), kMaxThreadName));
  absl::MutexLock lock(&mu_);
  running_ = threads;
  threads_.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this, name] {
      pthread_setname_np(pthread_self(), name.c_str());
      Run();
    });
  }
}

Executor::~Executor() { Stop(); }

bool Executor::Submit(std::move_only_function<void()> task) {
  absl::MutexLock lock(&mu_);
  if (stopping_ || queue_.size() >= kMaxQueue) return false;
  queue_.push_back({.run = std::move(task), .trace = CurrentTrace()});
  return true;
}

void Executor::Stop() {
  std::vector<std::thread> mine;
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    mine.swap(threads_);
  }
  for (std::thread& thread : mine) thread.join();
  // A second caller has nothing to join and waits here.
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(+[](int* running) { return *running == 0; }, &running_));
}

void Executor::Run() {
  while (true) {
    Task task;
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(this, &Executor::HasWork));
      if (queue_.empty()) {
        --running_;
        return;
      }
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    const TraceScope scope(task.trace);
    task.run();
  }
}

}  // namespace leasehold
