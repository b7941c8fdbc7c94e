// absl::Status at the gRPC border.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace leasehold {

// For answers: the client-safe text, the code, and the ErrorDetail in `grpc-status-details-bin`.
grpc::Status ToGrpc(const absl::Status& status);

// For callers: message and detail as the server sent them. A transport failure (nobody listens) becomes UNAVAILABLE with
// "<peer> does not answer"; `peer` is what the user typed as the address.
absl::Status FromGrpc(const grpc::Status& status, std::string_view peer);

}  // namespace leasehold
