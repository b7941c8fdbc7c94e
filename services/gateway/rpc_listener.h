// Accepts gRPC's connections. gRPC would do so itself, but stops for good at the first accept that fails, which is what
// happens when no file descriptor is left (docs/adr/0031-descriptors.md).
#pragma once

#include <grpcpp/server_builder.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/config.h"
#include "common/daemon/descriptors.h"
#include "services/gateway/call_bounds.h"

namespace leasehold::gateway {

class RpcListener {
 public:
  // Listens: connections wait from now on. INVALID_FIELD "gateway.grpc_listen". As in gRPC, 0.0.0.0 is every address of
  // the machine, those of IPv6 among them, and a name is all of its addresses that can be listened on.
  static absl::StatusOr<std::unique_ptr<RpcListener>> Open(const HostPort& listen);
  ~RpcListener();  // Stop()
  RpcListener(const RpcListener&) = delete;
  RpcListener& operator=(const RpcListener&) = delete;

  // Once. Hands connections to a server that has been started, unless `bounds`, which outlives this, is full.
  void Start(std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> server,
             const DescriptorBudget& descriptors, const CallBounds& bounds);
  // Accepts no more, and listens no more. Blocks until then. Idempotent.
  void Stop();

 private:
  explicit RpcListener(std::vector<int> listening);
  void Run(grpc::experimental::ExternalConnectionAcceptor& server, const DescriptorBudget& descriptors,
           const CallBounds& bounds) const;

  std::vector<int> listening_;
  int stop_fd_;
  std::thread thread_;
};

}  // namespace leasehold::gateway
