// Statements sent and answers read on libpq itself, for what libpqxx does not have.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "common/postgres/postgres.h"

namespace leasehold::postgres {

// Sends `statements` as one message and reads all answers (Connection::ExecTogether has the details). Afterwards the
// connection takes the next message, unless it broke.
Together Exchange(pg_conn* connection, std::span<const std::string> statements);

// How many rows `copy`, one COPY … TO STDOUT, sends. `go_on` is asked several times a second meanwhile. Once it is not
// OK, the server is asked to cancel the statement, and that is the status, whatever the server makes of it.
absl::StatusOr<int64_t> CountCopied(pg_conn* connection, const std::string& copy,
                                    const std::function<absl::Status()>& go_on);

}  // namespace leasehold::postgres
