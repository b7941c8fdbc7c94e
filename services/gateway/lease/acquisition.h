// One caller's way to a lease: looks the tenant up and, if it may, waits until the tenant is ready. No thread waits.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "services/gateway/directory/directory.h"
#include "services/gateway/lease/issuer.h"
#include "services/gateway/lease/terms.h"
#include "services/gateway/lease/timer.h"

namespace leasehold::gateway {

class Acquisition : public std::enable_shared_from_this<Acquisition> {
 public:
  using Done = std::move_only_function<void(absl::StatusOr<LeaseIssuer::Issued>)>;
  struct Parts {
    LeaseIssuer& issuer;
    TenantDirectory& directory;
    Timer& timer;
  };

  // Calls `done` exactly once: before it returns if the tenant is cached and ready or nothing is to be waited for, else
  // on the thread of the directory, the timer, or of Abandon(). Keep the pointer until then: dropping it is abandoning
  // it without an answer. TENANT_NOT_FOUND, TENANT_NOT_READY, TENANT_SUSPENDED, TENANT_DELETED, REGISTRY_UNAVAILABLE,
  // DEADLINE_EXCEEDED after `wait_ready`, and what LeaseIssuer refuses.
  static std::shared_ptr<Acquisition> Start(const Parts& parts, LeaseTerms terms, Done done);
  ~Acquisition();

  // Any thread. Answers with `why` if nothing was answered yet; no lease is made then.
  void Abandon(const absl::Status& why);

  bool answered() const;

 private:
  Acquisition(const Parts& parts, LeaseTerms terms, Done done)
      : parts_(parts), terms_(std::move(terms)), done_(std::move(done)) {}

  void Run();
  // Whether what stands in the way may pass by itself, and the caller has the time.
  bool MayWait(const absl::Status& usable) const;
  void OnView(absl::StatusOr<TenantViewPtr> view);
  void OnFollowed(const absl::StatusOr<TenantViewPtr>& view);
  void Wait(const TenantId& tenant);
  void OnDeadline();
  void Issue(const TenantViewPtr& view);
  // The right to answer, once; empty if somebody else has it.
  Done TakeDone();
  // A handle cannot be dropped where its own callback may be running.
  void DropLater(TenantDirectory::Handle follow);

  const Parts parts_;
  const LeaseTerms terms_;
  mutable absl::Mutex mu_;
  Done done_ ABSL_GUARDED_BY(mu_);
  TenantDirectory::Handle follow_ ABSL_GUARDED_BY(mu_);
  std::string waiting_for_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leasehold::gateway
