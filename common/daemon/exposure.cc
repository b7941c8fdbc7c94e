#include "common/daemon/exposure.h"

#include <arpa/inet.h>

#include <array>
#include <format>

#include "common/config/config.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"

namespace leasehold {
namespace {

std::string Missing(const Port& port) {
  std::string missing;
  if (!port.encrypted) missing = std::format("has no TLS ({})", port.encrypted_by);
  if (!port.authenticated) {
    missing += std::format("{}does not ask who calls ({})", missing.empty() ? "" : " and ", port.authenticated_by);
  }
  return missing;
}

}  // namespace

bool IsLoopback(const std::string& host) {
  if (host == "localhost") return true;
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

absl::Status CheckExposure(std::span<const Port> ports, bool insecure) {
  for (const Port& port : ports) {
    LH_ASSIGN_OR_RETURN(const HostPort address, ParseHostPort(port.field, port.address));
    if (IsLoopback(address.host) || (port.encrypted && port.authenticated)) continue;
    const std::string missing = Missing(port);
    if (!insecure) {
      return InvalidField(port.field, port.address,
                          std::format("a loopback address, as it {}; or start with --insecure", missing));
    }
    Log(Level::kWarning, "listening beyond loopback without what keeps strangers out: --insecure",
        {{"field", port.field}, {"address", port.address}, {"why", "it " + missing}});
  }
  return absl::OkStatus();
}

}  // namespace leasehold
