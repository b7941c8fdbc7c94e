// Opens connections: with a time limit on the whole, the password outside the connection string, and the SQLSTATE of a
// refusal.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "common/postgres/postgres.h"

namespace leasehold::postgres {

struct Opened {
  std::unique_ptr<pqxx::connection> connection{};
  pg_conn* raw = nullptr;  // libpq's view of it, for what libpqxx does not offer
};

// Blocks. `interrupt_fd`: gives up as soon as it is readable; -1 for none.
absl::StatusOr<Opened> OpenConnection(const ConnectOptions& options, int interrupt_fd = -1);

}  // namespace leasehold::postgres
