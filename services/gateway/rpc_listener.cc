#include "services/gateway/rpc_listener.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <format>
#include <string_view>
#include <utility>

#include "absl/log/absl_check.h"
#include "absl/time/clock.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "common/telemetry/seldom.h"

namespace leasehold::gateway {
namespace {

// Without a descriptor: until some have been closed.
constexpr int kPauseMs = 100;
// As gRPC has it where keep-alive is on: a peer that acknowledges nothing for so long is gone.
constexpr int kUnacknowledgedMs = 5'000;

bool Set(int fd, int level, int option, int value) { return setsockopt(fd, level, option, &value, sizeof value) == 0; }

// -1 with errno.
int ListenAt(const addrinfo& at) {
  const int fd = socket(at.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  // Connections inherit the options of TCP. Not SO_REUSEPORT: two gateways on one port would each get some of the
  // calls.
  const bool listens =
      Set(fd, SOL_SOCKET, SO_REUSEADDR, 1) && (at.ai_family != AF_INET6 || Set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)) &&
      Set(fd, IPPROTO_TCP, TCP_NODELAY, 1) && Set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kUnacknowledgedMs) &&
      bind(fd, at.ai_addr, at.ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0;
  if (listens) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

// As many as can be had; none: `why`.
std::vector<int> ListenAtAll(const std::string& host, int port, std::string& why) {
  const addrinfo hints{.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                       .ai_family = AF_UNSPEC,
                       .ai_socktype = SOCK_STREAM,
                       .ai_protocol = 0,
                       .ai_addrlen = 0,
                       .ai_addr = nullptr,
                       .ai_canonname = nullptr,
                       .ai_next = nullptr};
  addrinfo* found = nullptr;
  std::vector<int> listening;
  if (const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); error != 0) {
    why = gai_strerror(error);
    return listening;
  }
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    if (const int fd = ListenAt(*at); fd >= 0) {
      listening.push_back(fd);
    } else {
      why = std::strerror(errno);
    }
  }
  freeaddrinfo(found);
  return listening;
}

// True: to stop.
bool Wait(std::vector<pollfd>& waits, int patience_ms) {
  for (pollfd& wait : waits) wait.revents = 0;
  if (poll(waits.data(), waits.size(), patience_ms) < 0) ABSL_CHECK(errno == EINTR) << "poll: " << std::strerror(errno);
  return waits.front().revents != 0;
}

void Say(Seldom& seldom, std::string_view why) {
  if (const auto times = seldom.Note(absl::Now())) {
    Log(Level::kWarning, "a caller was not let in", {{"error", why}, {"times", std::to_string(*times)}});
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<RpcListener>> RpcListener::Open(const HostPort& listen) {
  std::string why;
  std::vector<int> listening;
  // Every address in one socket, unless this machine has no IPv6.
  if (listen.host == "0.0.0.0") listening = ListenAtAll("::", listen.port, why);
  if (listening.empty()) listening = ListenAtAll(listen.host, listen.port, why);
  if (listening.empty()) {
    return InvalidField("gateway.grpc_listen", std::format("{}:{}", listen.host, listen.port),
                        std::format("an address of this machine with a port that nobody listens on ({})", why));
  }
  return std::unique_ptr<RpcListener>(new RpcListener(std::move(listening)));
}

RpcListener::RpcListener(std::vector<int> listening)
    : listening_(std::move(listening)), stop_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  ABSL_CHECK(stop_fd_ >= 0) << "no file descriptor left";
}

RpcListener::~RpcListener() {
  Stop();
  close(stop_fd_);
}

void RpcListener::Start(std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> server,
                        const DescriptorBudget& descriptors, const CallBounds& bounds) {
  thread_ =
      std::thread([this, server = std::move(server), descriptors, &bounds] { Run(*server, descriptors, bounds); });
}

void RpcListener::Run(grpc::experimental::ExternalConnectionAcceptor& server, const DescriptorBudget& descriptors,
                      const CallBounds& bounds) const {
  std::vector<pollfd> stop = {{.fd = stop_fd_, .events = POLLIN, .revents = 0}};
  std::vector<pollfd> waits = stop;
  for (const int fd : listening_) waits.push_back({.fd = fd, .events = POLLIN, .revents = 0});
  Seldom failed;
  Seldom crowded;
  Seldom full;
  while (!Wait(waits, -1)) {
    for (size_t i = 1; i < waits.size(); ++i) {
      if (waits[i].revents == 0) continue;
      const int fd = accept4(waits[i].fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= descriptors.ForCallers()) {
        close(fd);
        Say(crowded, "too many file descriptors are open");
      } else if (fd >= 0 && bounds.full()) {
        close(fd);
        Say(full, "too many calls are open");
      } else if (fd >= 0) {
        grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
        connection.listener_fd = waits[i].fd;
        connection.fd = fd;
        server.HandleNewConnection(&connection);
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        Say(failed, std::strerror(errno));
        if (Wait(stop, kPauseMs)) return;
      }  // else it went away while it waited
    }
  }
}

void RpcListener::Stop() {
  if (thread_.joinable()) {
    eventfd_write(stop_fd_, 1);
    thread_.join();
  }
  for (const int fd : std::exchange(listening_, {})) close(fd);
}

}  // namespace leasehold::gateway
