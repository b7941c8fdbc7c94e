// Statements sent and answers read on libpq itself, for what libpqxx does not have.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "common/postgres/postgres.h"

namespace leasehold::postgres {

// Sends `statements` as one message and reads all answers (Connection::ExecTogether has the details). Afterwards the
// connection takes the next message, unless it broke.
//
// `go_on`, if there is one, is asked several times a second while the server works. Once it is not OK, the server is
// asked to cancel the statement that runs, and that is the status, whatever the server makes of it.
Together Exchange(pg_conn* connection, std::span<const std::string> statements,
                  const std::function<absl::Status()>& go_on = nullptr);

}  // namespace leasehold::postgres
