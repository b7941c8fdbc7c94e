// The client's side of logging in to PostgreSQL.
#pragma once

#include <asio/awaitable.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "common/secret/secret.h"
#include "services/gateway/pgwire/error_fields.h"
#include "services/gateway/pool/server.h"
#include "services/gateway/pool/server_authentication.h"
#include "services/gateway/pool/setting_table.h"
#include "services/gateway/pool/stream.h"

namespace leasehold::gateway {

struct LoginFailure {
  absl::Status status;                             // for the log
  std::optional<pgwire::ErrorFields> from_server;  // the server's own words, if it had any
};

// What a server says of itself while one logs in.
struct ServerGreeting {
  BackendKey key;
  SettingMap parameters;
};

// From StartupMessage to the first ReadyForQuery. SCRAM-SHA-256, bound to the connection as far as `binding` asks for
// it, or trust: a server that asks for the password in clear or as MD5 is refused. nullopt: logged in.
asio::awaitable<std::optional<LoginFailure>> LogIn(Stream& stream,
                                                   const std::vector<std::pair<std::string, std::string>>& startup,
                                                   const Secret& password, ChannelBinding binding,
                                                   ServerGreeting& greeting);

}  // namespace leasehold::gateway
