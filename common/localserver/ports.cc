#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <format>
#include <fstream>

#include "absl/cleanup/cleanup.h"
#include "absl/time/clock.h"
#include "common/localserver/localserver.h"

namespace leasehold::localserver {
namespace {

struct Range {
  int first;
  int last;
};

// Where no client connection takes a port by chance.
Range OutsideEphemeral() {
  Range ephemeral{32768, 60999};
  std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> ephemeral.first >> ephemeral.last;
  const Range preferred{20000, 31999};
  if (preferred.last < ephemeral.first || preferred.first > ephemeral.last) return preferred;
  if (ephemeral.first > 12000) return {10000, ephemeral.first - 1};
  if (ephemeral.last < 63000) return {ephemeral.last + 1, 65000};
  return preferred;  // the kernel leaves no room; a collision is unlikely still
}

sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Without SO_REUSEADDR, so that a port with connections in TIME_WAIT counts as taken.
bool CanBind(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const absl::Cleanup close_fd = [fd] { close(fd); };
  const sockaddr_in address = Loopback(port);
  return bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

bool CanConnect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const absl::Cleanup close_fd = [fd] { close(fd); };
  const sockaddr_in address = Loopback(port);
  return connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

int FreePort() {
  // Processes that run side by side start far apart; within one, the walk never returns to a port it gave out.
  static std::atomic<unsigned> steps{0};
  const Range range = OutsideEphemeral();
  const unsigned size = static_cast<unsigned>(range.last - range.first + 1);
  const unsigned start = static_cast<unsigned>(getpid()) * 2654435761U % size;
  int port = 0;
  for (unsigned tries = 0; tries < size; ++tries) {
    port = range.first + static_cast<int>((start + steps.fetch_add(1)) % size);
    if (CanBind(port)) break;
  }
  return port;
}

absl::Status WaitForPort(int port, absl::Duration patience) {
  const absl::Time give_up = absl::Now() + patience;
  while (!CanConnect(port)) {
    if (absl::Now() > give_up) {
      return absl::DeadlineExceededError(
          std::format("nobody listens on 127.0.0.1:{} after {}", port, absl::FormatDuration(patience)));
    }
    absl::SleepFor(absl::Milliseconds(5));
  }
  return absl::OkStatus();
}

}  // namespace leasehold::localserver
