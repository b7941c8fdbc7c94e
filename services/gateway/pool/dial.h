// Reaching a PostgreSQL server: TCP, then TLS as far as `tls` asks for it.
#pragma once

#include <asio/awaitable.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/gateway/pool/stream.h"

namespace leasehold::gateway {

// libpq's sslmode: prefer takes what the server offers, require insists; neither checks the server's certificate.
enum class TlsMode { kDisable, kPrefer, kRequire };

// verify-ca and verify-full are not supported yet: INVALID_FIELD "sslmode".
absl::StatusOr<TlsMode> ParseTlsMode(std::string_view text);

struct Address {
  std::string host;
  int port = 0;
  TlsMode tls = TlsMode::kPrefer;
};

// Connects, with TLS if so agreed. The Status is for the log: it names hosts.
asio::awaitable<absl::StatusOr<std::unique_ptr<Stream>>> Dial(const Address& address, SSL_CTX* tls);

}  // namespace leasehold::gateway
