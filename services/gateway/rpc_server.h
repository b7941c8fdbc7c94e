// The gRPC server: health and reflection beside the given services; callers that vanish are noticed within 15 s.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/config/config.h"
#include "common/daemon/daemon.h"
#include "common/daemon/descriptors.h"
#include "common/daemon/serving.h"
#include "common/telemetry/metrics.h"
#include "services/gateway/audit/recorder.h"
#include "services/gateway/call_bounds.h"
#include "services/gateway/gate/gate.h"
#include "services/gateway/rpc_listener.h"

namespace leasehold::gateway {

class RpcServer {
 public:
  // Serves at once, and lets in what `gate` does; what there is to call is told only where everybody may call it.
  // Clients are told to have `calls.per_connection` open at most; connections with twice as many are closed.
  // INVALID_FIELD "gateway.grpc_listen" if the address cannot be listened on. `gate`, `audit`, which records the calls,
  // `metrics` and `services` outlive the server. Process-wide, and so once: gRPC's and protobuf's own log lines go to
  // ours, at level debug.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(const HostPort& listen,
                                                          const std::shared_ptr<grpc::ServerCredentials>& credentials,
                                                          const DescriptorBudget& descriptors, const CallLimits& calls,
                                                          Gate& gate, AuditRecorder& audit, Metrics& metrics,
                                                          std::span<Gated* const> services);

  grpc::Server& server() { return *server_; }
  // No more connections; calls in progress end by then. Blocks.
  void Shutdown(absl::Time deadline);

 private:
  RpcServer(std::shared_ptr<grpc::ServerCredentials> credentials, std::unique_ptr<grpc::Server> server,
            std::unique_ptr<RpcListener> listener, const CallLimits& calls, Metrics& metrics);
  // The server asks them for certificates as long as it lives.
  const std::shared_ptr<grpc::ServerCredentials> credentials_;
  const std::unique_ptr<grpc::Server> server_;
  CallBounds bounds_;
  const std::unique_ptr<RpcListener> listener_;
};

// What grpc.health.v1 answers from now on: whether the gateway is ready, under "" and the name of each of our gRPC
// services ("leasehold.v1.LeaseService"); whether it is to be sent clients, under "leasehold.serving"; and whether the
// instance of each of `services` answers, under that service's name ("identity"), once that is known. Any thread.
void TellHealth(grpc::Server& server, const Health& health, Serving& serving, std::span<const std::string> services);

}  // namespace leasehold::gateway
