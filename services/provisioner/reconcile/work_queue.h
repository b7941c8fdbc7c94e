// Which tenants are to be looked at, and when. One worker at a time for each: a tenant that is added while it is worked
// on comes again afterwards.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/identity/identity.h"

namespace leasehold::provisioner {

// Any thread.
class WorkQueue {
 public:
  explicit WorkQueue(const Clock& clock) : clock_(clock) {}

  // Not before `when`; of two times for one tenant the earlier counts.
  void Add(const TenantId& id, absl::Time when = absl::InfinitePast());

  // The tenant that has been due the longest; nullopt if none is due. Its taker calls Done.
  std::optional<TenantId> TryTake();
  // The same, but waits; nullopt after Stop().
  std::optional<TenantId> Take();
  void Done(const TenantId& id);

  // Its taker will be at it for long: nobody waits for that with AwaitQuiet.
  void WillTakeLong(const TenantId& id);

  // Waits until no tenant is due or worked on; true if so. False after `patience`, or after Stop().
  bool AwaitQuiet(absl::Duration patience);

  struct Counts {
    int due = 0;      // waiting for a worker
    int working = 0;  // being worked on
    int later = 0;    // their time is still to come
  };
  Counts Count() const;

  void Stop();

 private:
  struct Entry {
    std::optional<absl::Time> due;  // nullopt: only being worked on
    bool running = false;
    bool long_running = false;
  };
  bool IsQuiet() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::optional<TenantId> TakeDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Clock& clock_;
  mutable absl::Mutex mu_;
  absl::CondVar changed_;
  absl::CondVar quiet_;
  std::map<TenantId, Entry> entries_ ABSL_GUARDED_BY(mu_);
  std::set<std::pair<absl::Time, TenantId>> waiting_ ABSL_GUARDED_BY(mu_);  // due and not running
  int running_ ABSL_GUARDED_BY(mu_) = 0;                                    // but for the long ones
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace leasehold::provisioner
