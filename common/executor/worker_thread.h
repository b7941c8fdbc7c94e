// One thread of a component that looks for work, and rests until somebody wakes it or a time has passed.
#pragma once

#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace leasehold {

// Any thread, but for Rest() and Start().
class WorkerThread {
 public:
  WorkerThread() = default;
  ~WorkerThread();  // Stop()

  // `body` returns soon after Stopping() has become true. Once.
  void Start(std::function<void()> body);
  // The same, of a body that does `work` whenever `period` has passed since it was done last, first after one `period`.
  void StartEvery(absl::Duration period, std::function<void()> work);

  // Ends rests, also those to come. Does not block.
  void RequestStop();
  // The same; and waits for the end of `body`. False if it still runs after `patience`. Not from the thread itself.
  bool Stop(absl::Duration patience = absl::InfiniteDuration());
  bool Stopping() const;

  // Ends a rest; one that has not begun ends at once. Does not block.
  void Wake();

  enum class Until { kWoken, kStopping };
  // On the thread. `kStopping`: not for Wake(), which is remembered for the next rest.
  void Rest(absl::Duration most, Until until);

 private:
  mutable absl::Mutex mu_;
  bool running_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace leasehold
