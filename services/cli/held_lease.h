// A lease that lives exactly as long as this object: over the stream of LeaseService.HoldLease.
#pragma once

#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "services/cli/gateway_client.h"

namespace leasehold::cli {

// One thread, apart from its own that reads the stream.
class HeldLease {
 public:
  // Blocks until the credentials are here, or `interrupt_fd` becomes readable: CANCELLED. `client` outlives the lease.
  static absl::StatusOr<std::unique_ptr<HeldLease>> Acquire(GatewayClient& client,
                                                            const v1::AcquireLeaseRequest& request, int interrupt_fd);
  ~HeldLease();  // releases
  HeldLease(const HeldLease&) = delete;
  HeldLease& operator=(const HeldLease&) = delete;

  const v1::Lease& lease() const { return first_.lease(); }
  const v1::Credentials& credentials() const { return first_.credentials(); }
  const v1::AcquireLeaseResponse& response() const { return first_; }

  // Becomes readable when the gateway has ended the lease (revoked, or the gateway went away); EndReason() then says
  // why.
  int ended_fd() const { return ended_fd_; }
  absl::Status EndReason() const;

  // Ended when this returns, if the gateway answers; it ends by itself soon after otherwise.
  void Release();

 private:
  explicit HeldLease(GatewayClient& client);
  void Read();
  void Abandon();  // ends the stream; the gateway releases the lease

  GatewayClient& client_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderInterface<v1::AcquireLeaseResponse>> stream_;
  v1::AcquireLeaseResponse first_;  // the reader's until it signals `begun_fd_`, constant afterwards
  int begun_fd_ = -1;
  int ended_fd_ = -1;
  bool released_ = false;
  std::thread reader_;
  mutable absl::Mutex mu_;
  absl::Status end_reason_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leasehold::cli
