// Where libpqxx's exceptions and libpq's texts become absl::Status.
#pragma once

#include <exception>
#include <string_view>

#include "absl/status/status.h"

namespace leasehold::postgres {

// `connection_open`: whether the connection on which it happened can still be used.
absl::Status FromException(const std::exception& error, bool connection_open);

// A failed statement's own fields: SQLSTATE, and the message as people read it.
absl::Status FromServer(std::string_view sqlstate, std::string_view text, bool connection_open);

// An attempt to connect that failed; `text` as libpq puts it with verbose errors ("… FATAL:  28P01: password …").
absl::Status FromConnectError(std::string_view text);

// The connection broke, and its user wants no other.
absl::Status ConnectionLost();

// Nobody answered in time.
absl::Status ConnectTimedOut();

}  // namespace leasehold::postgres
