// Events on their way into the trail: recorded by any thread without waiting, taken by the one that writes.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace leasehold::gateway {

class AuditBuffer {
 public:
  // Once, on the writer's thread, or at once on the caller's when there is nobody to write any more.
  using Stored = std::move_only_function<void(absl::Status)>;

  // Events that become one record of the trail.
  struct Batch {
    std::string lines;
    int64_t events = 0;
    absl::Time first = absl::InfiniteFuture();
    absl::Time last = absl::InfinitePast();
    std::vector<Stored> stored;
  };

  explicit AuditBuffer(int64_t capacity) : capacity_(capacity) {}

  // False: the buffer is full, and the event is lost; `stored` is told so. With `stored`, what waits is written at
  // once.
  bool Add(absl::Time time, std::string_view line, Stored stored = nullptr);

  // Of events; those of a batch that was taken count until Done().
  int64_t size() const { return size_.load(std::memory_order_relaxed); }
  bool full() const { return size() >= capacity_; }

  // The writer's. Gathers for `gather`, unless somebody waits for an event or there is enough for a record; if nothing
  // came, waits for an event for up to `patience`, and from then on for `gather`, for more. So whoever adds wakes the
  // writer only where nothing had come for a while. nullopt: nothing came, or it is closed and empty.
  std::optional<Batch> Take(absl::Duration patience, absl::Duration gather);
  // The batch is stored.
  void Done(const Batch& batch);
  // Memory for the next batch's lines. Any thread.
  void Recycle(std::string memory);

  // It does not work for now: nobody waits any more for what is here to be stored; it stays.
  void TellWaiting(const absl::Status& why);

  // Take() waits no more, and Add() takes nothing more.
  void Close();
  bool closed() const;

 private:
  void Gather(absl::Duration gather) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Ripe() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return closed_ || urgent_ || batches_.size() > 1; }

  const int64_t capacity_;
  std::atomic<int64_t> size_ = 0;
  mutable absl::Mutex mu_;
  // Not Mutex::Await, which looks at its condition whenever anybody lets go of the lock.
  absl::CondVar ready_;
  std::deque<Batch> batches_ ABSL_GUARDED_BY(mu_);
  std::string spare_ ABSL_GUARDED_BY(mu_);  // empty, with memory that was recycled
  bool waits_for_any_ ABSL_GUARDED_BY(mu_) = false;
  bool urgent_ ABSL_GUARDED_BY(mu_) = false;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace leasehold::gateway
