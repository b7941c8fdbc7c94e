// The client's side of logging in to PostgreSQL.
#pragma once

#include <asio/awaitable.hpp>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "common/secret/secret.h"
#include "services/gateway/pgwire/error_fields.h"
#include "services/gateway/pool/server_connection.h"

namespace leasehold::gateway {

struct LoginFailure {
  absl::Status status;                             // for the log
  std::optional<pgwire::ErrorFields> from_server;  // the server's own words, if it had any
};

// From StartupMessage to the first ReadyForQuery; fills in `key` and `parameters`. SCRAM-SHA-256 or trust: a server
// that asks for the password in clear or as MD5 is refused. nullopt: logged in.
asio::awaitable<std::optional<LoginFailure>> LogIn(ServerConnection& connection, const Settings& startup,
                                                   const Secret& password);

}  // namespace leasehold::gateway
