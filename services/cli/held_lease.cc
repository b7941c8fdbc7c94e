#include "services/cli/held_lease.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "services/cli/command.h"

namespace leasehold::cli {

namespace {

void Raise(int event_fd) {
  const uint64_t one = 1;
  while (write(event_fd, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

}  // namespace

HeldLease::HeldLease(GatewayClient& client)
    : client_(client), begun_fd_(eventfd(0, EFD_CLOEXEC)), ended_fd_(eventfd(0, EFD_CLOEXEC)) {}

absl::StatusOr<std::unique_ptr<HeldLease>> HeldLease::Acquire(GatewayClient& client,
                                                              const v1::AcquireLeaseRequest& request,
                                                              int interrupt_fd) {
  std::unique_ptr<HeldLease> held(new HeldLease(client));
  held->stream_ = client.leases().HoldLease(&held->context_, request);
  held->reader_ = std::thread([raw = held.get()] { raw->Read(); });
  std::array<pollfd, 3> fds = {pollfd{.fd = held->begun_fd_, .events = POLLIN, .revents = 0},
                               pollfd{.fd = held->ended_fd_, .events = POLLIN, .revents = 0},
                               pollfd{.fd = interrupt_fd, .events = POLLIN, .revents = 0}};
  while (poll(fds.data(), fds.size(), -1) < 0) {
  }
  if (fds[0].revents != 0) return held;
  held->Abandon();
  if (fds[1].revents != 0) return held->EndReason();
  return absl::CancelledError("interrupted");
}

HeldLease::~HeldLease() {
  Release();
  close(begun_fd_);
  close(ended_fd_);
}

void HeldLease::Read() {
  const absl::Time asked = absl::Now();
  const bool begun = stream_->Read(&first_);
  const absl::Duration waited = absl::Now() - asked;
  if (begun) {
    Raise(begun_fd_);
    v1::AcquireLeaseResponse moved_expiry;
    while (stream_->Read(&moved_expiry)) {
    }
  }
  const grpc::Status end = stream_->Finish();
  absl::Status status = begun ? client_.StreamEnd(end) : client_.ToStatus(end, waited);
  if (status.ok()) status = absl::AbortedError(begun ? "the gateway ended it" : "the gateway gave no lease");
  {
    absl::MutexLock lock(&mu_);
    end_reason_ = std::move(status);
  }
  Raise(ended_fd_);
}

absl::Status HeldLease::EndReason() const {
  absl::MutexLock lock(&mu_);
  return end_reason_;
}

void HeldLease::Release() {
  if (released_) return;
  // Ending the stream alone would do, but not before we return.
  v1::ReleaseLeaseRequest request;
  request.set_request_id(NewRequestId());
  request.set_id(lease().id());
  (void)client_.Call(client_.leases(), &v1::LeaseService::StubInterface::ReleaseLease, request, absl::Seconds(5));
  Abandon();
}

void HeldLease::Abandon() {
  released_ = true;
  context_.TryCancel();
  if (reader_.joinable()) reader_.join();
}

}  // namespace leasehold::cli
