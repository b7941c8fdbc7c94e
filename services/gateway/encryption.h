// The TLS of a gateway's ends, as its configuration has it.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/rpc/server_credentials.h"
#include "common/tls/watcher.h"
#include "leasehold/v1/config.pb.h"

namespace leasehold::gateway {

// Null where there is none.
struct Encryption {
  std::shared_ptr<const tls::LiveCredentials> grpc;
  std::shared_ptr<const tls::LiveCredentials> sql;
  std::shared_ptr<const tls::LiveCredentials> http;
  std::map<std::string, std::shared_ptr<const tls::LiveCredentials>> instances;  // by service: whom to believe
};

// INVALID_FIELD with the field whose file cannot be used. `watcher` looks after them from then on.
absl::StatusOr<Encryption> ReadEncryption(const v1::Config& config, tls::Watcher& watcher);

rpc::ClientCertificate ClientCertificateOf(const v1::GatewayConfig& gateway);

// INVALID_FIELD if strangers can reach a port that is not fit for them, and `insecure` does not allow it.
absl::Status CheckExposure(const v1::GatewayConfig& gateway, bool insecure);

}  // namespace leasehold::gateway
