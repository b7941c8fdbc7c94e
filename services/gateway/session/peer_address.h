// Where the other end of a connection is.
#pragma once

#include <string>

namespace leasehold::gateway {

// "address:port" of a connected TCP socket; empty if the other end has gone.
std::string PeerAddress(int fd);

}  // namespace leasehold::gateway
