// The gRPC server: health and reflection beside the given services; callers that vanish are noticed within 15 s.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "services/gateway/audit/recorder.h"

namespace leasehold::gateway {

// Serves at once. INVALID_FIELD "gateway.grpc_listen" if the address cannot be listened on. `services` outlive the
// server, and so does `audit`, which records the calls. Process-wide, and so once: gRPC's and protobuf's own log lines go to ours, at level debug.
absl::StatusOr<std::unique_ptr<grpc::Server>> StartRpcServer(const std::string& listen,
                                                             std::span<grpc::Service* const> services,
                                                             AuditRecorder& audit);

}  // namespace leasehold::gateway
