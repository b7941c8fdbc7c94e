// How many calls the gateway's gRPC port has open at once: of clients that keep to what they are told, and of those
// that do not.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "leasehold/v1/tenant.grpc.pb.h"
#include "tests/stack/gateway.h"
#include "tests/stack/outputs.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

using ::testing::HasSubstr;

constexpr int kPerConnection = 20;
constexpr int kTotal = 100;

// A connection that speaks HTTP/2 by itself: it opens calls whose requests never come, and never says that it has heard
// of the server's settings.
class DeafClient {
 public:
  explicit DeafClient(const std::string& address) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    int port = 0;
    EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port)) << address;
    to.sin_port = htons(static_cast<uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + Frame(4, 0, 0, ""));
  }
  ~DeafClient() { close(fd_); }
  DeafClient(const DeafClient&) = delete;
  DeafClient& operator=(const DeafClient&) = delete;

  void Open(int calls) {
    std::string frames;
    for (int i = 0; i < calls; ++i, stream_ += 2) {
      frames += Frame(1, 4, stream_,
                      Header(":method", "POST") + Header(":scheme", "http") +
                          Header(":path", "/leasehold.v1.LeaseService/AcquireLease") + Header(":authority", "x") +
                          Header("te", "trailers") + Header("content-type", "application/grpc"));
    }
    Send(frames);
  }
  // Whether the other side has closed it, once all that it said before is read.
  bool Closed() const {
    std::string said(4096, '\0');
    for (;;) {
      const ssize_t n = recv(fd_, said.data(), said.size(), MSG_DONTWAIT);
      if (n < 0) return errno != EAGAIN && errno != EWOULDBLOCK;
      if (n == 0) return true;
    }
  }

 private:
  static std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& body) {
    const uint32_t length = htonl(static_cast<uint32_t>(body.size()));
    const uint32_t id = htonl(stream);
    return std::string(reinterpret_cast<const char*>(&length) + 1, 3) + static_cast<char>(type) +
           static_cast<char>(flags) + std::string(reinterpret_cast<const char*>(&id), sizeof id) + body;
  }
  // Literal, without an index and without compression.
  static std::string Header(const std::string& name, const std::string& value) {
    return std::string(1, '\0') + static_cast<char>(name.size()) + name + static_cast<char>(value.size()) + value;
  }
  // In vain if the other side has closed it.
  void Send(const std::string& bytes) const { (void)send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }

  const int fd_;
  uint32_t stream_ = 1;
};

class Calls : public ::testing::Test {
 protected:
  double Metric(const std::string& series) const { return ValueOf(MetricsOf(gateway_.http()), series); }
  bool AwaitOpen(double calls) {
    return Eventually([&] { return Metric("leasehold_grpc_calls") == calls; });
  }
  bool AwaitClosed(double connections) {
    return Eventually([&] { return Metric("leasehold_grpc_connections_closed_total") == connections; });
  }
  std::shared_ptr<grpc::Channel> NewChannel() const {
    grpc::ChannelArguments own;
    own.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(gateway_.grpc(), grpc::InsecureChannelCredentials(), own);
  }

  const Gateway gateway_{SharedStack(), [](v1::Config& config) {
                           config.mutable_gateway()->set_grpc_calls_per_connection(kPerConnection);
                           config.mutable_gateway()->set_grpc_max_calls(kTotal);
                         }};
};

// Watches all tenants for as long as it lives.
class Watch {
 public:
  explicit Watch(v1::TenantService::Stub& tenants) : stream_(tenants.WatchTenants(&context_, {})) {
    v1::WatchTenantsResponse first;
    EXPECT_TRUE(stream_->Read(&first));
  }
  ~Watch() {
    context_.TryCancel();
    stream_->Finish();
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::WatchTenantsResponse>> stream_;
};

TEST_F(Calls, AConnectionWhoseClientDoesNotListenIsClosedAndNoOther) {
  const auto stub = v1::TenantService::NewStub(NewChannel());
  const Watch watch(*stub);
  DeafClient modest(gateway_.grpc());
  modest.Open(2 * kPerConnection);
  ASSERT_TRUE(AwaitOpen(2 * kPerConnection + 1));
  DeafClient greedy(gateway_.grpc());
  greedy.Open(2 * kPerConnection + 1);
  EXPECT_TRUE(AwaitClosed(1));
  EXPECT_TRUE(Eventually([&] { return greedy.Closed(); }));
  EXPECT_TRUE(AwaitOpen(2 * kPerConnection + 1)) << "what they took is given back";
  EXPECT_FALSE(modest.Closed());
  v1::ListTenantsResponse tenants;
  EXPECT_TRUE(stub->ListTenants(Deadline().get(), {}, &tenants).ok());
  EXPECT_THAT(gateway_.Log(), HasSubstr("a caller has too many calls open"));
}

TEST_F(Calls, WithTooManyInAllTheConnectionWithTheMostIsClosed) {
  DeafClient most(gateway_.grpc());
  most.Open(2 * kPerConnection);
  std::vector<std::unique_ptr<DeafClient>> others;
  for (int i = 0; i < 4; ++i) {
    others.push_back(std::make_unique<DeafClient>(gateway_.grpc()));
    others.back()->Open(kPerConnection - 2 + (i == 0 ? 1 : 0));
  }
  EXPECT_TRUE(AwaitClosed(1));
  EXPECT_TRUE(Eventually([&] { return most.Closed(); }));
  EXPECT_TRUE(AwaitOpen(4 * (kPerConnection - 2) + 1));
  for (const auto& other : others) EXPECT_FALSE(other->Closed());
}

TEST_F(Calls, WhileTooManyAreOpenNobodyNewIsLetIn) {
  const auto ask = [this] {
    v1::ListTenantsResponse tenants;
    return v1::TenantService::NewStub(NewChannel())->ListTenants(Deadline().get(), {}, &tenants).ok();
  };
  EXPECT_TRUE(Eventually([&] {
    // Giving its calls back takes gRPC a while.
    DeafClient flood(gateway_.grpc());
    flood.Open(50 * kTotal);
    (void)ask();
    return gateway_.Log().contains("too many calls are open");
  }));
  EXPECT_TRUE(Eventually(ask));
}

TEST_F(Calls, AClientThatListensKeepsTheNextOnesBack) {
  const auto stub = v1::TenantService::NewStub(NewChannel());
  std::vector<std::unique_ptr<Watch>> watches;
  for (int i = 0; i < kPerConnection; ++i) watches.push_back(std::make_unique<Watch>(*stub));
  v1::ListTenantsResponse tenants;
  EXPECT_EQ(stub->ListTenants(Deadline(absl::Seconds(1)).get(), {}, &tenants).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  watches.pop_back();
  EXPECT_TRUE(stub->ListTenants(Deadline().get(), {}, &tenants).ok());
  EXPECT_EQ(Metric("leasehold_grpc_connections_closed_total"), 0);
}

}  // namespace
}  // namespace leasehold::testing
