// absl::Status at the gRPC border.
#pragma once

#include <grpcpp/support/status.h>

#include <string_view>

#include "absl/status/status.h"

namespace leasehold {

// For answers: the client-safe text, the code, and the ErrorDetail in `grpc-status-details-bin`, beside it
// google.rpc.RetryInfo where there is a time to wait. A Status without detail becomes INTERNAL/REASON_INTERNAL, except
// that CANCELLED and DEADLINE_EXCEEDED keep their codes.
grpc::Status ToGrpc(const absl::Status& status);

// For callers: message and detail as the server sent them. A transport failure (nobody listens) becomes UNAVAILABLE
// with
// "<peer> does not answer" without detail; `peer` is what the user typed as the address.
absl::Status FromGrpc(const grpc::Status& status, std::string_view peer);

}  // namespace leasehold
