// A bounded pool of threads for work that blocks (libpqxx, nats.c), so that gRPC reactors and event loops never do.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/telemetry/trace.h"

namespace leasehold {

class Executor {
 public:
  static constexpr size_t kMaxQueue = 100'000;

  // `threads`: usually the number of connections that the work can use. `name` shows in thread lists (15 bytes).
  Executor(std::string name, int threads);
  // Runs what was accepted, then joins.
  ~Executor();

  // Any thread, also from a task. Tasks start in the order of submission, each at work for the trace that its submitter
  // is at work for. False (and `task` is dropped) after Stop() or when kMaxQueue tasks wait. A task must not throw.
  bool Submit(std::move_only_function<void()> task);

  // No new tasks; returns when those accepted have run. Idempotent, any thread. Not from a task.
  void Stop();

 private:
  struct Task {
    std::move_only_function<void()> run;
    Trace trace;
  };
  void Run();
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopping_ || !queue_.empty(); }

  absl::Mutex mu_;
  std::deque<Task> queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mu_);  // emptied by the Stop() that joins them
  int running_ ABSL_GUARDED_BY(mu_) = 0;                   // threads that have not returned
};

}  // namespace leasehold
