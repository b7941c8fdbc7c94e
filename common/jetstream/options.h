// How a connection to NATS is encrypted, and who it is for.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/config/config.h"
#include "common/jetstream/jetstream.h"
#include "common/secret/secret.h"

namespace leasehold::jetstream {

struct Security {
  // PEM files, read when the connection is made first. With a CA it is TLS, and the server's certificate names the
  // url's host.
  std::string ca_file = {};
  std::string certificate_file = {};  // of the client; with it the key
  std::string key_file = {};
  std::string credentials_file = {};  // a user's JWT and seed (.creds); read at each connection
  std::string username = {};          // or a name and its password
  Secret password = {};
};

// Checks the files that it names. INVALID_FIELD. The password may come from LEASEHOLD_NATS_PASSWORD.
absl::StatusOr<Security> ReadSecurity(const v1::NatsConfig& config, const Environment& environment);

// Client::Connect, so secured.
absl::StatusOr<std::unique_ptr<Client>> Connect(Client::Options options, const Security& security);

}  // namespace leasehold::jetstream
