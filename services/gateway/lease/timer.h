// Functions that run when their time has come, all on one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"

namespace leasehold::gateway {

// What is scheduled must not block. There is no cancelling: hold what may be gone by a weak_ptr. Any thread. A clock
// that is set changes when At() comes, which is noticed within a second, and never makes After() and Every() wait for
// longer.
class Timer {
 public:
  using Task = std::move_only_function<void()>;

  explicit Timer(const Clock& clock) : clock_(clock) {}
  ~Timer();

  // At most once. Without it nothing runs but by Tick(), which is how tests with a FakeClock use it.
  void Start();
  // Drops what has not run yet; returns when nothing runs any more. Not from a task.
  void Stop();

  void At(absl::Time when, Task task) { Add(when, absl::InfiniteDuration(), std::move(task)); }
  void After(absl::Duration wait, Task task) { Add(clock_.Now() + wait, wait, std::move(task)); }
  // For ever, first after one `period`.
  void Every(absl::Duration period, std::function<void()> task);

  // Runs all that is due, in order, on the caller's thread.
  void Tick();

 private:
  struct Entry {
    absl::Time when;
    absl::Duration longest;  // wait, from any moment on
    uint64_t number = 0;     // keeps the order of tasks of the same time
    Task task;
  };
  struct Later {
    bool operator()(const Entry& a, const Entry& b) const {
      return a.when != b.when ? a.when > b.when : a.number > b.number;
    }
  };

  void Run();
  void Add(absl::Time when, absl::Duration longest, Task task) ABSL_LOCKS_EXCLUDED(mu_);
  // Brings forward what a clock that was set back would have wait for too long.
  void NoteClock() ABSL_LOCKS_EXCLUDED(mu_);
  bool RunOne() ABSL_LOCKS_EXCLUDED(mu_);

  const Clock& clock_;
  absl::Mutex mu_;
  std::vector<Entry> heap_ ABSL_GUARDED_BY(mu_);  // by Later; a vector, because priority_queue cannot be moved out of
  absl::Time seen_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  uint64_t next_number_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool earlier_ ABSL_GUARDED_BY(mu_) = false;  // the head of the heap has changed
  std::thread thread_;
};

}  // namespace leasehold::gateway
