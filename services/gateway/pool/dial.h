// Reaching a PostgreSQL server: TCP, then TLS as far as `tls` asks for it.
#pragma once

#include <asio/awaitable.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/tls/live_credentials.h"
#include "services/gateway/pool/server_authentication.h"
#include "services/gateway/pool/stream.h"

namespace leasehold::gateway {

// libpq's sslmode: prefer takes what the server offers, require insists; verify-ca wants a certificate of a known CA,
// verify-full one that names the host.
enum class TlsMode { kDisable, kPrefer, kRequire, kVerifyCa, kVerifyFull };

// INVALID_FIELD "sslmode" and "channel_binding".
absl::StatusOr<TlsMode> ParseTlsMode(std::string_view text);
absl::StatusOr<ChannelBinding> ParseChannelBinding(std::string_view text);

struct Address {
  std::string host;
  int port = 0;
  TlsMode tls = TlsMode::kPrefer;
  ChannelBinding binding = ChannelBinding::kPrefer;
  // Whom a server is believed; every server if null, which does for the modes up to require only.
  std::shared_ptr<const tls::LiveCredentials> believes = {};
};

// Connects, with TLS if so agreed. `anybody`: a context that believes every server. The Status is for the log: it names
// hosts.
asio::awaitable<absl::StatusOr<std::unique_ptr<Stream>>> Dial(const Address& address, const tls::Credentials& anybody);

}  // namespace leasehold::gateway
