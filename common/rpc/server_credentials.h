// gRPC's server side of TLS, with certificates that change while it serves.
#pragma once

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "common/tls/live_credentials.h"

namespace leasehold::rpc {

enum class ClientCertificate {
  kNotAsked,  // `live` has no CA
  kOptional,  // one that is shown has to be good
  kRequired,
};

// Each handshake takes what is newest in `live`; connections that are open stay. Outlives the server that was built
// with it. In clear if `live` is null.
std::shared_ptr<grpc::ServerCredentials> ServerCredentials(std::shared_ptr<const tls::LiveCredentials> live,
                                                           ClientCertificate client);

}  // namespace leasehold::rpc
