// One connection to a PostgreSQL server, logged in as a tenant's role.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "services/gateway/pool/connection_cap.h"
#include "services/gateway/pool/read_buffer.h"
#include "services/gateway/pool/stream.h"

namespace leasehold::gateway {

// Names a running query of one backend in a CancelRequest.
struct BackendKey {
  uint32_t process_id = 0;
  uint32_t secret = 0;
};

using Settings = std::vector<std::pair<std::string, std::string>>;

// Belongs to the loop that it was made on. Made by InstancePool::Acquire, ended by InstancePool::Retire.
struct ServerConnection {
  ServerConnection(asio::ip::tcp::socket socket, ConnectionCap::Permit p)
      : stream(std::move(socket)), permit(std::move(p)) {}

  Stream stream;
  ReadBuffer inbox;
  BackendKey key;
  Settings parameters;  // as the server reported them at log-in
  ConnectionCap::Permit permit;
};
using ServerConnectionPtr = std::shared_ptr<ServerConnection>;

}  // namespace leasehold::gateway
