// gRPC's client side of TLS.
#pragma once

#include <grpcpp/security/credentials.h>

#include <memory>

#include "common/tls/credentials.h"

namespace leasehold::rpc {

// In clear if `credentials` is null. Else they have a CA, and the server's certificate has to name the host of the
// channel's address.
std::shared_ptr<grpc::ChannelCredentials> ChannelCredentials(const tls::Credentials* credentials);

}  // namespace leasehold::rpc
