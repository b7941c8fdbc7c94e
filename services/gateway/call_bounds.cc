#include "services/gateway/call_bounds.h"

#include <fcntl.h>
#include <google/protobuf/struct.pb.h>
#include <grpc/grpc.h>
#include <grpc/support/alloc.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <format>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/telemetry/log.h"
#include "services/gateway/authn/json.h"
#include "services/gateway/session/peer_address.h"

namespace leasehold::gateway {
namespace {

using google::protobuf::Struct;

// A client opens some thousand calls in this time.
constexpr absl::Duration kLook = absl::Milliseconds(50);
// Unless calls become many more at once, connections are looked at so seldom that it costs one in so many of a core.
constexpr int kShare = 100;
constexpr absl::Duration kCloseLook = absl::Seconds(1);
// Within this the calls of a connection that was closed are given back: some ten thousand a second.
constexpr absl::Duration kUnwound = absl::Seconds(10);

// What channelz answers; empty if there is no such server or socket any more.
Struct Read(char* answer) {
  const std::unique_ptr<char, void (*)(void*)> text(answer, gpr_free);
  if (!text) return {};
  return ParseJsonObject(text.get()).value_or(Struct());
}

Struct Member(const Struct& object, const std::string& name) {
  const auto found = object.fields().find(name);
  return found == object.fields().end() ? Struct() : found->second.struct_value();
}

// A number that is left out is 0.
int64_t Number(const Struct& object, const std::string& name) {
  int64_t number = 0;
  return absl::SimpleAtoi(TextOf(object, name).value_or(""), &number) ? number : 0;
}

// Calls `each` with the members of a list.
void ForEach(const Struct& object, const std::string& list, const std::function<void(const Struct&)>& each) {
  const auto found = object.fields().find(list);
  if (found == object.fields().end()) return;
  for (const google::protobuf::Value& value : found->second.list_value().values()) each(value.struct_value());
}

// The process's gRPC servers. It has one, unless a test has more.
void ForEachServer(const std::function<void(int64_t id, const Struct& data)>& each) {
  ForEach(Read(grpc_channelz_get_servers(0)), "server",
          [&each](const Struct& server) { each(Number(Member(server, "ref"), "serverId"), Member(server, "data")); });
}

// Both addresses of a connection, as bytes: no two have the same.
std::string Ends(std::string_view local_ip, int local_port, std::string_view remote_ip, int remote_port) {
  return std::format("{}:{}-{}:{}", local_ip, local_port, remote_ip, remote_port);
}

std::optional<std::string> EndsOf(const Struct& socket) {
  const auto address = [&socket](const std::string& end, std::string& ip, int& port) {
    const Struct tcp = Member(Member(socket, end), "tcpip_address");
    const auto number = tcp.fields().find("port");
    if (number == tcp.fields().end()) return false;
    port = static_cast<int>(number->second.number_value());
    return absl::Base64Unescape(TextOf(tcp, "ip_address").value_or(""), &ip);
  };
  std::string local_ip;
  std::string remote_ip;
  int local_port = 0;
  int remote_port = 0;
  if (!address("local", local_ip, local_port) || !address("remote", remote_ip, remote_port)) return std::nullopt;
  return Ends(local_ip, local_port, remote_ip, remote_port);
}

// As channelz has it: four bytes for an address of IPv4, also where it is mapped into IPv6.
bool Split(const sockaddr_storage& at, std::string& ip, int& port) {
  if (at.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(at);
    ip.assign(reinterpret_cast<const char*>(&v4.sin_addr), sizeof v4.sin_addr);
    port = ntohs(v4.sin_port);
    return true;
  }
  if (at.ss_family != AF_INET6) return false;
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(at);
  ip.assign(reinterpret_cast<const char*>(&v6.sin6_addr), sizeof v6.sin6_addr);
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) ip.erase(0, 12);
  port = ntohs(v6.sin6_port);
  return true;
}

std::optional<std::string> EndsOf(int fd) {
  sockaddr_storage local{};
  sockaddr_storage remote{};
  socklen_t local_size = sizeof local;
  socklen_t remote_size = sizeof remote;
  std::string local_ip;
  std::string remote_ip;
  int local_port = 0;
  int remote_port = 0;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&remote), &remote_size) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&local), &local_size) != 0 ||
      !Split(remote, remote_ip, remote_port) || !Split(local, local_ip, local_port)) {
    return std::nullopt;
  }
  return Ends(local_ip, local_port, remote_ip, remote_port);
}

// The connections of this process, by their ends.
std::map<std::string, int> Descriptors() {
  std::map<std::string, int> found;
  std::error_code error;
  for (std::filesystem::directory_iterator each("/proc/self/fd", error), end; !error && each != end;
       each.increment(error)) {
    int fd = -1;
    if (!absl::SimpleAtoi(each->path().filename().string(), &fd)) continue;
    if (const auto ends = EndsOf(fd)) found.emplace(*ends, fd);
  }
  return found;
}

// At once, with all that has come and was not read yet; whoever reads or writes it gets an error. gRPC may have closed
// the descriptor meanwhile, and it may be another connection's: what is closed is the one that has these ends.
bool Reset(int fd, const std::string& ends) {
  const int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (own < 0) return false;
  const bool is_it = EndsOf(own) == ends;
  sockaddr none{};
  none.sa_family = AF_UNSPEC;
  if (is_it && connect(own, &none, sizeof none) != 0) shutdown(own, SHUT_RDWR);
  close(own);
  return is_it;
}

struct Connection {
  std::string ends;
  int fd = -1;
  int64_t calls = 0;
};

// Those that are not closed yet, the ones with the most calls first. A call counts until its memory is given back.
std::vector<Connection> Connections() {
  const std::map<std::string, int> descriptors = Descriptors();
  std::vector<Connection> found;
  const auto add = [&](int64_t id) {
    const Struct socket = Member(Read(grpc_channelz_get_socket(id)), "socket");
    const auto ends = EndsOf(socket);
    const auto fd = ends ? descriptors.find(*ends) : descriptors.end();
    if (fd == descriptors.end()) return;
    const Struct data = Member(socket, "data");
    found.push_back(
        {.ends = *ends,
         .fd = fd->second,
         .calls = Number(data, "streamsStarted") - Number(data, "streamsSucceeded") - Number(data, "streamsFailed")});
  };
  ForEachServer([&add](int64_t server, const Struct& /*data*/) {
    for (int64_t next = 0, end = -1; next != end;) {
      end = next;
      ForEach(Read(grpc_channelz_get_server_sockets(server, next, 0)), "socketRef", [&](const Struct& ref) {
        const int64_t id = Number(ref, "socketId");
        add(id);
        next = id + 1;
      });
    }
  });
  std::ranges::sort(found, std::greater(), &Connection::calls);
  return found;
}

int64_t OpenCalls() {
  int64_t open = 0;
  ForEachServer([&open](int64_t /*id*/, const Struct& data) {
    open += Number(data, "callsStarted") - Number(data, "callsSucceeded") - Number(data, "callsFailed");
  });
  return open;
}

}  // namespace

CallBounds::CallBounds(const CallLimits& limits, Metrics& metrics)
    : limits_(limits),
      open_(metrics.Gauge("leasehold_grpc_calls", "gRPC calls that are open, leases that are held among them")),
      closed_(metrics.Counter("leasehold_grpc_connections_closed_total",
                              "gRPC connections closed since they had too many calls open")),
      thread_([this] {
        while (!stop_.WaitForNotificationWithTimeout(kLook)) Look(absl::Now());
      }) {}

CallBounds::~CallBounds() {
  stop_.Notify();
  thread_.join();
}

void CallBounds::Look(absl::Time now) {
  const int64_t all = OpenCalls();
  const int64_t open = all - lost_;
  open_.Set(static_cast<double>(open));
  full_.store(open > limits_.total, std::memory_order_relaxed);
  if (open <= std::min(limits_.per_connection, limits_.total)) {
    known_open_ = 0;
    known_until_ = absl::InfinitePast();
    // The allocator would keep what the calls of closed connections took, for good.
    if (std::exchange(closed_some_, false)) malloc_trim(0);
    return;
  }
  if (open <= known_open_ + limits_.per_connection / 4 && now < known_until_) return;
  LookClosely(now, all);
  const absl::Time done = absl::Now();
  known_open_ = open;
  known_until_ = done + std::max(kCloseLook, kShare * (done - now));
}

void CallBounds::LookClosely(absl::Time now, int64_t all) {
  const std::vector<Connection> connections = Connections();
  int64_t open = 0;
  for (const Connection& connection : connections) open += connection.calls;
  // Set, not added to: calls that ended while the connections were read are in the difference, too.
  if (now - closed_time_ > kUnwound) lost_ = std::max<int64_t>(all - open, 0);
  for (const Connection& connection : connections) {
    if (connection.calls <= limits_.per_connection && open <= limits_.total) return;
    open -= connection.calls;
    const std::string peer = PeerAddress(connection.fd);
    if (!Reset(connection.fd, connection.ends)) continue;
    closed_.Increment();
    closed_some_ = true;
    closed_time_ = now;
    if (const auto times = said_.Note(absl::Now())) {
      Log(Level::kWarning, "a caller has too many calls open: its connection is closed",
          {{"peer", peer}, {"calls", absl::StrCat(connection.calls)}, {"times", absl::StrCat(*times)}});
    }
  }
}

}  // namespace leasehold::gateway
