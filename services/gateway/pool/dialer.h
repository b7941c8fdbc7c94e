// Makes server connections and sends cancel requests, on event loops of asio's, for a pool on a loop of its own.
#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/identity/identity.h"
#include "common/secret/key_ring.h"
#include "common/secret/secret.h"
#include "services/gateway/pool/dial.h"
#include "services/gateway/pool/server_login.h"

namespace leasehold::gateway {

// Who to be, where.
struct LoginTarget {
  std::string database;
  std::string role;
  std::string database_id;
  RoleKind kind = RoleKind::kOwner;
  std::string tenant;  // empty: the central database
};

struct Dialled {
  Transport transport;
  ServerGreeting greeting;
  absl::Duration took;
};

// Any thread. `done` runs on the desk's.
class Dialer {
 public:
  Dialer(asio::any_io_executor desk, Address address, RoleKeys role_keys);

  void LogIn(LoginTarget target, absl::Duration patience,
             std::move_only_function<void(std::expected<Dialled, LoginFailure>)> done);

  // Whether anybody answers there, after how long: asked what PostgreSQL answers before any log-in, so that it takes
  // none of the instance's connections. OK also if it would let nobody in.
  void Knock(absl::Duration patience, std::move_only_function<void(absl::StatusOr<absl::Duration> took)> done);

  // When `done` runs, PostgreSQL has sent the signal, or did not answer within five seconds.
  void Cancel(BackendKey key, std::move_only_function<void()> done);

 private:
  asio::awaitable<std::expected<Dialled, LoginFailure>> Run(LoginTarget target);
  asio::awaitable<std::expected<Dialled, LoginFailure>> Try(const LoginTarget& target, const RoleKey& key);
  asio::awaitable<absl::StatusOr<absl::Duration>> RunKnock();
  asio::awaitable<void> RunCancel(BackendKey key);

  const asio::any_io_executor desk_;
  const Address address_;
  const RoleKeys role_keys_;
  const std::shared_ptr<const tls::Credentials> anybody_;  // a context that believes every server
};

}  // namespace leasehold::gateway
