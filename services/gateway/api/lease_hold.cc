#include "services/gateway/api/lease_hold.h"

#include <utility>

#include "common/status/error.h"
#include "services/gateway/lease/record.h"

namespace leasehold::gateway {
namespace {

// Where nobody can tell, as with the registry away, what was allowed goes on.
bool IsRefusal(v1::Reason reason) {
  return reason == v1::REASON_NOT_PERMITTED || reason == v1::REASON_NO_CREDENTIALS || reason == v1::REASON_BAD_TOKEN;
}

}  // namespace

grpc::ServerWriteReactor<v1::AcquireLeaseResponse>* LeaseHold::Begin(LeaseTerms terms) {
  ttl_ = terms.ttl;
  stream_ = Stream::Start();
  stream_->OnOver([self = shared_from_this()] { self->OnOver(); });
  grpc::ServerWriteReactor<v1::AcquireLeaseResponse>* reactor = stream_->reactor();
  auto acquisition = Acquisition::Start(
      parts_.acquisition, std::move(terms),
      [self = shared_from_this()](absl::StatusOr<LeaseIssuer::Issued> issued) { self->OnAcquired(std::move(issued)); });
  absl::MutexLock lock(&mu_);
  if (!over_) acquisition_ = std::move(acquisition);
  return reactor;
}

void LeaseHold::Close(const absl::Status& why) { stream_->Close(why); }

void LeaseHold::OnAcquired(absl::StatusOr<LeaseIssuer::Issued> issued) {
  events_.on_acquired(issued);
  if (!issued.ok()) return stream_->Close(issued.status());
  const LeaseId id = issued->id;
  auto watch = parts_.watchers.Add(id, LeaseWatchers::Kind::kStream,
                                   [stream = stream_](const absl::Status& why) { stream->Close(why); });
  bool over = false;
  {
    absl::MutexLock lock(&mu_);
    over = over_;
    if (!over) {
      id_ = id;
      watch_ = std::move(watch);
    }
  }
  if (over) {  // the caller was gone before it had its lease
    watch.reset();
    parts_.book.Release(id).IgnoreError();
    return;
  }
  v1::AcquireLeaseResponse response;
  *response.mutable_lease() = std::move(issued->lease);
  *response.mutable_credentials() = std::move(issued->credentials);
  RenewLater();
  stream_->Send(std::move(response));
  // A revocation between the lease's making and the watch rang no bell.
  const auto record = parts_.book.Get(id);
  if (const absl::Status now = record.ok() ? StatusOfState(record->state()) : record.status(); !now.ok()) Close(now);
}

void LeaseHold::RenewLater() {
  parts_.acquisition.timer.After(ttl_ / 3, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->Renew();
  });
}

void LeaseHold::Renew() {
  {
    absl::MutexLock lock(&mu_);
    if (over_) return;
  }
  if (!parts_.recheck) return Prolong(absl::OkStatus());
  parts_.recheck([weak = weak_from_this()](const absl::Status& allowed) {
    if (auto self = weak.lock()) self->Prolong(allowed);
  });
}

void LeaseHold::Prolong(const absl::Status& allowed) {
  std::optional<LeaseId> id;
  {
    absl::MutexLock lock(&mu_);
    if (over_) return;
    id = id_;
  }
  if (IsRefusal(ReasonOf(allowed))) return Close(allowed);
  auto record = parts_.book.Renew(*id, ttl_);
  if (!record.ok()) return Close(record.status());
  v1::AcquireLeaseResponse response;
  *response.mutable_lease() = LeaseOf(*record, parts_.watchers.Sessions(*id));
  RenewLater();
  stream_->Send(std::move(response));
}

void LeaseHold::OnOver() {
  std::shared_ptr<Acquisition> acquisition;
  std::unique_ptr<LeaseWatchers::Watch> watch;
  std::optional<LeaseId> id;
  {
    absl::MutexLock lock(&mu_);
    over_ = true;
    acquisition = std::move(acquisition_);
    watch = std::move(watch_);
    id = id_;
  }
  if (acquisition) acquisition->Abandon(absl::CancelledError("the caller ended the stream"));
  watch.reset();
  if (id) parts_.book.Release(*id).IgnoreError();
  events_.on_over(this);
}

}  // namespace leasehold::gateway
