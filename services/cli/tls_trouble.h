// Why a gateway that is there does not answer: TLS on one side only, or certificates that the other does not believe.
#pragma once

#include <string>

#include "common/config/config.h"
#include "common/tls/credentials.h"

namespace leasehold::cli {

// A connected socket of which connecting, sending and receiving each give up after half a second; -1 if there is none.
int ConnectBriefly(const HostPort& address);

// Shakes hands with who listens there. `credentials`: as the failed call had them; null: it was in clear. Empty: TLS is
// not what is wrong; else how to go on behind "the gateway at HOST:PORT".
std::string TlsTrouble(const HostPort& address, const tls::Credentials* credentials);

}  // namespace leasehold::cli
