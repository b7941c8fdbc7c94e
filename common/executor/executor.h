// A bounded pool of threads for work that blocks (libpqxx, nats.c), so that gRPC reactors and event loops never do.
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace leasehold {

class Executor {
 public:
  // `threads`: usually the number of connections that the work can use. `name` shows in thread lists (15 bytes).
  Executor(std::string name, int threads);
  // Runs what was accepted, then joins.
  ~Executor();

  // Any thread. False (and `task` is dropped) after Stop() or when `max_queue` (100,000) tasks wait.
  bool Submit(std::move_only_function<void()> task);

  // No new tasks; waits for those accepted. Idempotent. Not from a task.
  void Stop();

 private:
  void Run();

  const std::string name_;
  absl::Mutex mu_;
  std::vector<std::move_only_function<void()>> queue_ ABSL_GUARDED_BY(mu_);
  size_t head_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace leasehold
