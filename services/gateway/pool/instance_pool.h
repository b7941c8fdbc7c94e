// Server connections to one service's instance, under one hard cap over all loops.
//
// Today each session has a server connection of its own: acquired, used, retired, never shared. Sessions ask for what
// they need (database, role, settings) and hand back what they no longer need, and know nothing else of the pool; so
// pooling by transaction needs a third verb here (give back for reuse) and a choice between waiters, and no new
// session.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/ssl/context.hpp>
#include <expected>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/identity/identity.h"
#include "common/secret/secret.h"
#include "common/telemetry/metrics.h"
#include "services/gateway/pgwire/error_fields.h"
#include "services/gateway/pool/connection_cap.h"
#include "services/gateway/pool/dial.h"
#include "services/gateway/pool/server_connection.h"

namespace leasehold::gateway {

struct InstanceOptions {
  ServiceName service;
  Address address;
  RoleKey role_key;
  // Server connections at most, those being dialled and those being closed among them.
  int max_connections = 50;
  // To wait for one of them and to log in.
  absl::Duration connection_timeout = absl::Seconds(30);
  // For connections that wait to be used again; there are none yet.
  absl::Duration idle_timeout = absl::Minutes(30);
};

struct ServerDemand {
  std::string database;
  std::string role;
  std::string database_id;
  RoleKind kind = RoleKind::kOwner;
  Settings settings;  // for the StartupMessage
};

// What a server connection was doing when it was given up.
enum class LeftBehind { kIdle, kWorking };

// Any loop. Held by shared_ptr: connections being closed outlive the sessions that gave them up.
class InstancePool : public std::enable_shared_from_this<InstancePool> {
 public:
  InstancePool(InstanceOptions options, Metrics& metrics);

  // On the caller's loop, for it alone. The errors are for clients: 53300 if the cap or the instance is full, 08006 if
  // it does not answer, 57P03 if the database is not there; the server's own words where the client's settings are at
  // fault.
  using Acquired = std::expected<ServerConnectionPtr, pgwire::ErrorFields>;
  asio::awaitable<Acquired> Acquire(ServerDemand demand);

  // On the connection's loop; returns at once. In the background: what is running is cancelled, the connection is
  // closed, and it counts until PostgreSQL has closed its side or five seconds have passed.
  void Retire(ServerConnectionPtr connection, LeftBehind what);

  // Cancels what the backend is doing, over a connection of its own; at most 16 at a time, given up after five seconds.
  // When it returns, PostgreSQL has sent the signal.
  asio::awaitable<void> Cancel(BackendKey key);

  // Blocks, not on a loop. False: some connections were still open after `patience`.
  bool AwaitNone(absl::Duration patience) const { return cap_->AwaitNone(patience); }

  // No more waiting: the loops are about to go.
  void Shutdown();

  const InstanceOptions& options() const { return options_; }
  int connections() const { return cap_->in_use(); }
  int waiting() const { return cap_->waiting(); }

 private:
  asio::awaitable<void> Finish(ServerConnectionPtr connection, LeftBehind what);
  pgwire::ErrorFields Exhausted() const;
  pgwire::ErrorFields ForClient(const pgwire::ErrorFields& from_server) const;
  void CountConnections();

  const InstanceOptions options_;
  const std::shared_ptr<ConnectionCap> cap_;
  const std::shared_ptr<ConnectionCap> cancels_;
  asio::ssl::context tls_;
  prometheus::Gauge& connections_;
  prometheus::Gauge& waiting_;
  prometheus::Histogram& connect_seconds_;
};

}  // namespace leasehold::gateway
