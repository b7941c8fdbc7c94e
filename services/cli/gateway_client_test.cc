#include "services/cli/gateway_client.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/status/error.h"
#include "common/status/grpc.h"

namespace leasehold::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Takes connections and says nothing.
class SilentServer {
 public:
  SilentServer() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(fd_, 8), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }
  ~SilentServer() { close(fd_); }
  SilentServer(const SilentServer&) = delete;
  SilentServer& operator=(const SilentServer&) = delete;
  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  int fd() const { return fd_; }

 private:
  const int fd_;
  int port_ = 0;
};

absl::Status Get(GatewayClient& client, absl::Duration patience = GatewayClient::kPatience) {
  v1::GetTenantRequest request;
  request.set_id("acme");
  return client.Call(client.tenants(), &v1::TenantService::StubInterface::GetTenant, request, patience).status();
}

TEST(GatewayClient, SaysWhoDidNotAnswerForHowLongAndWhatToDo) {
  const SilentServer server;
  GatewayClient client({.address = server.address()}, absl::Milliseconds(300));
  const absl::Status status = Get(client);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(server.address()), HasSubstr("does not answer (waited "), HasSubstr("--gateway")));
}

// Reads once from each connection, answers as it is told to, and hangs up.
class OneWordServer {
 public:
  using Answer = std::function<std::string(std::string_view)>;
  explicit OneWordServer(Answer answer) : thread_([this, answer = std::move(answer)] { Run(answer); }) {}
  ~OneWordServer() { shutdown(server_.fd(), SHUT_RDWR); }
  std::string address() const { return server_.address(); }

 private:
  void Run(const Answer& answer) const {
    for (int fd = 0; (fd = accept(server_.fd(), nullptr, nullptr)) >= 0; close(fd)) {
      std::array<char, 256> heard{};
      const ssize_t size = recv(fd, heard.data(), heard.size(), 0);
      const std::string word = answer({heard.data(), static_cast<size_t>(std::max<ssize_t>(size, 0))});
      send(fd, word.data(), word.size(), MSG_NOSIGNAL);
    }
  }
  const SilentServer server_;
  std::jthread thread_;
};

TEST(GatewayClient, KnowsTheGatewaysOtherPorts) {
  const auto refusal = [](const OneWordServer::Answer& answer) {
    const OneWordServer server(answer);
    GatewayClient client({.address = server.address()}, absl::Seconds(5));
    return std::string(Get(client).message());
  };
  EXPECT_THAT(refusal([](std::string_view heard) { return heard.size() == 8 ? "N" : ""; }),
              AllOf(HasSubstr(" is an SQL port; give the gateway's gRPC port"), HasSubstr("--gateway")));
  EXPECT_THAT(
      refusal([](std::string_view heard) { return heard.starts_with("GET ") ? "HTTP/1.1 200 OK\r\n\r\n" : ""; }),
      HasSubstr(" is an HTTP port; give the gateway's gRPC port"));
  EXPECT_THAT(refusal([](std::string_view) { return ""; }), HasSubstr("does not answer"));
}

TEST(GatewayClient, SaysHowLongACallWasWaitedFor) {
  const SilentServer server;
  GatewayClient client({.address = server.address()}, absl::Seconds(30));
  const absl::Status status = Get(client, absl::Milliseconds(300));
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(server.address()), HasSubstr("did not answer within 3"), HasSubstr("ms")));
}

TEST(GatewayClient, AHostThatIsNotKnownIsSaidToBeThat) {
  GatewayClient client({.address = "no-such-host.invalid:7450"}, absl::Milliseconds(300));
  const absl::Status status = Get(client, absl::Seconds(5));
  EXPECT_THAT(std::string(status.message()), HasSubstr("no-such-host.invalid"));
  EXPECT_FALSE(status.ok());
}

TEST(GatewayClient, TheGatewaysOwnRefusalsPassUnchanged) {
  const GatewayClient client({.address = "127.0.0.1:1"});
  const absl::Status refused = Error(v1::REASON_REGISTRY_UNAVAILABLE, "the registry does not answer");
  EXPECT_EQ(ReasonOf(client.ToStatus(ToGrpc(refused), absl::Seconds(1))), v1::REASON_REGISTRY_UNAVAILABLE);
  EXPECT_EQ(client.StreamEnd(ToGrpc(refused)).message(), refused.message());
  EXPECT_TRUE(client.StreamEnd(grpc::Status::OK).ok());
  EXPECT_EQ(client.StreamEnd(grpc::Status(grpc::StatusCode::UNAVAILABLE, "Socket closed")).message(),
            "the gateway at 127.0.0.1:1 went away");
}

}  // namespace
}  // namespace leasehold::cli
