// Whether a daemon may listen where strangers can reach it.
#pragma once

#include <span>
#include <string>

#include "absl/status/status.h"

namespace leasehold {

// One of a daemon's ports. `…_by`: the field that would bring what is missing, for the error.
struct Port {
  std::string field = {};    // "gateway.grpc_listen"
  std::string address = {};  // host:port
  bool encrypted = false;
  std::string encrypted_by = {};
  bool authenticated = false;  // callers have to say who they are
  std::string authenticated_by = {};
};

// True for 127.0.0.0/8, ::1 and "localhost": what only this machine reaches.
bool IsLoopback(const std::string& host);

// INVALID_FIELD for a port beyond loopback that is not both encrypted and authenticated. With `insecure` it is logged
// as a warning instead.
absl::Status CheckExposure(std::span<const Port> ports, bool insecure);

}  // namespace leasehold
