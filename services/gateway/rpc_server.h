// The gRPC server: health and reflection beside the given services; callers that vanish are noticed within 15 s.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "common/daemon/daemon.h"
#include "services/gateway/audit/recorder.h"

namespace leasehold::gateway {

// Serves at once. INVALID_FIELD "gateway.grpc_listen" if the address cannot be listened on. `services` outlive the
// server, and so does `audit`, which records the calls. Process-wide, and so once: gRPC's and protobuf's own log lines
// go to ours, at level debug.
absl::StatusOr<std::unique_ptr<grpc::Server>> StartRpcServer(const std::string& listen,
                                                             std::span<grpc::Service* const> services,
                                                             AuditRecorder& audit);

// What grpc.health.v1 answers from now on: whether the gateway is ready, under "" and the name of each of our gRPC
// services ("leasehold.v1.LeaseService"); and whether the instance of each of `services` answers, under that service's
// name ("identity"), once that is known. Any thread.
void TellHealth(grpc::Server& server, const Health& health, std::span<const std::string> services);

}  // namespace leasehold::gateway
