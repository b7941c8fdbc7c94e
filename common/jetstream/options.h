// How a connection to NATS is encrypted, and who it is for.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/config/config.h"
#include "common/jetstream/jetstream.h"
#include "common/secret/secret.h"
#include "common/tls/watcher.h"

namespace leasehold::jetstream {

struct Security {
  // The CA that is believed, and the certificate of the client, if it has one; null: no TLS. With a CA the server's
  // certificate names the url's host.
  std::shared_ptr<const tls::LiveCredentials> certificates = {};
  std::string credentials_file = {};  // a user's JWT and seed (.creds); read at each connection
  std::string username = {};          // or a name and its password
  Secret password = {};
  std::string password_file = {};  // in its place; read when a connection is dialled
};

// Checks the files that it names. INVALID_FIELD. `watcher` looks after the certificates, as "nats"; it has to be
// started for them to be read again. The password may come from LEASEHOLD_NATS_PASSWORD.
absl::StatusOr<Security> ReadSecurity(const v1::NatsConfig& config, const Environment& environment,
                                      tls::Watcher& watcher);

// Client::Connect, so secured.
absl::StatusOr<std::unique_ptr<Client>> Connect(Client::Options options, const Security& security);

}  // namespace leasehold::jetstream
