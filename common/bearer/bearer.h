// The token with which a client tells a gateway who it is.
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/client_interceptor.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace leasehold {

// OK if a token may be sent to `address` (host:port): over TLS, or to this machine. FAILED_PRECONDITION else: whoever
// reads along would have it.
absl::Status CheckTokenMayGo(const std::string& address, bool over_tls);

// For grpc::experimental::CreateCustomChannelWithInterceptors: each call shows the token in `token_file`, which is read
// for each, so that one that is renewed is taken up. Without a file, or while it cannot be read, calls show none, and
// the gateway says so. Empty `token_file`: none.
std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> ShowToken(std::string token_file);

}  // namespace leasehold
