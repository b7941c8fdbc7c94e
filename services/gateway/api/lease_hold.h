// One HoldLease call: a lease that lives exactly as long as the stream.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "leasehold/v1/lease.pb.h"
#include "services/gateway/api/stream.h"
#include "services/gateway/caller/rechecker.h"
#include "services/gateway/lease/acquisition.h"
#include "services/gateway/lease/book.h"
#include "services/gateway/lease/watchers.h"

namespace leasehold::gateway {

// Renews its lease at a third of the ttl and says so on the stream; releases it when the stream is over for whatever
// reason; closes the stream when the lease ends otherwise, and when its holder would not be let in any more. Any
// thread; nothing blocks.
class LeaseHold : public std::enable_shared_from_this<LeaseHold> {
 public:
  using Stream = Feed<v1::AcquireLeaseResponse>;
  struct Parts {
    Acquisition::Parts acquisition;
    LeaseBook& book;
    LeaseWatchers& watchers;
    Rechecker::Recheck recheck = nullptr;  // asked before each renewal; none: nobody is
  };

  // `on_acquired` hears how the acquisition went, for logs and counters; `on_over` runs last, after which the hold may
  // go.
  struct Events {
    std::function<void(const absl::StatusOr<LeaseIssuer::Issued>&)> on_acquired;
    std::function<void(LeaseHold*)> on_over;
  };

  LeaseHold(const Parts& parts, Events events) : parts_(parts), events_(std::move(events)) {}

  // Once, right after construction; the result is for gRPC. The hold must live until on_over.
  grpc::ServerWriteReactor<v1::AcquireLeaseResponse>* Begin(LeaseTerms terms);

  // The stream ends with `why`, and with it the lease.
  void Close(const absl::Status& why);

 private:
  void OnAcquired(absl::StatusOr<LeaseIssuer::Issued> issued);
  void RenewLater();
  void Renew();
  // `allowed`: what came of asking.
  void Prolong(const absl::Status& allowed);
  void OnOver();

  const Parts parts_;
  const Events events_;
  absl::Duration ttl_;
  std::shared_ptr<Stream> stream_;
  absl::Mutex mu_;
  bool over_ ABSL_GUARDED_BY(mu_) = false;
  std::shared_ptr<Acquisition> acquisition_ ABSL_GUARDED_BY(mu_);
  std::optional<LeaseId> id_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<LeaseWatchers::Watch> watch_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leasehold::gateway
