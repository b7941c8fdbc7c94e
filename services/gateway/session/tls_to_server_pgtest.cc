// TLS between the gateway and PostgreSQL.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>

#include "common/tls/testing_certificates.h"
#include "services/gateway/session/testing_stack.h"

namespace leasehold::gateway::testing_stack {
namespace {

using testing::HasSubstr;
using tls::Role;
using tls::TestCertificates;

class TlsToServerTest : public EndpointTest {
 protected:
  static void SetUpTestSuite() {
    certificates_ = std::make_unique<TestCertificates>();
    const auto files = certificates_->Make("postgres", {.hosts = {"127.0.0.1"}});
    instance_ = std::make_unique<Instance>(files.certificate, files.key);
  }
  static void TearDownTestSuite() {
    EndpointTest::TearDownTestSuite();
    certificates_.reset();
  }

  static std::shared_ptr<tls::LiveCredentials> Believe(const std::string& ca) {
    return *tls::LiveCredentials::Open(TestCertificates::OptionsOf(Role::kClient, {}, ca), absl::Now());
  }
  // What a query of whoever connects comes to.
  std::string Ask(const std::string& mode, const std::string& binding,
                  std::shared_ptr<const tls::LiveCredentials> believes) {
    Begin({.patience = absl::Seconds(1),
           .tls_to_server = mode,
           .channel_binding = binding,
           .believes = std::move(believes)});
    Client client = Connect();
    return client.ok() ? client.One("select ssl from pg_stat_ssl where pid = pg_backend_pid()") : client.error();
  }

  static inline std::unique_ptr<TestCertificates> certificates_;
};

TEST_F(TlsToServerTest, VerifiedAndBound) {
  const auto ca = Believe(certificates_->ca());
  EXPECT_EQ(Ask("verify-full", "require", ca), "t");
  EXPECT_EQ(Ask("verify-full", "prefer", ca), "t");
  EXPECT_EQ(Ask("verify-full", "disable", ca), "t");
  EXPECT_EQ(Ask("verify-ca", "require", ca), "t");
  EXPECT_EQ(Ask("require", "require", nullptr), "t") << "of whomever";
  EXPECT_EQ(Ask("prefer", "prefer", nullptr), "t");
  EXPECT_EQ(Ask("disable", "prefer", nullptr), "f");
}

TEST_F(TlsToServerTest, BindingNeedsTls) {
  EXPECT_THAT(Ask("disable", "require", nullptr), HasSubstr("do not agree on how to log in"))
      << "no password goes there";
}

TEST_F(TlsToServerTest, AStrangersServerIsLeft) {
  const TestCertificates strange("strange CA");
  for (const char* mode : {"verify-full", "verify-ca", "require"}) {
    EXPECT_THAT(Ask(mode, "prefer", Believe(strange.ca())), HasSubstr("does not answer")) << mode;
  }
}

// Who answers SSLRequest with N in the server's place, and listens to what comes then.
class Stripper {
 public:
  Stripper() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(fd_, 64), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Run(); });
  }
  ~Stripper() {
    shutdown(fd_, SHUT_RDWR);
    thread_.join();
    close(fd_);
  }
  Stripper(const Stripper&) = delete;
  Stripper& operator=(const Stripper&) = delete;
  int port() const { return port_; }
  int asked() const { return asked_; }
  bool heard_more() const { return heard_more_; }

 private:
  void Run() {
    for (int fd = accept(fd_, nullptr, nullptr); fd >= 0; fd = accept(fd_, nullptr, nullptr)) {
      const timeval patience = {.tv_sec = 5, .tv_usec = 0};
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      std::array<char, 8> request{};
      if (recv(fd, request.data(), request.size(), MSG_WAITALL) == 8 && send(fd, "N", 1, MSG_NOSIGNAL) == 1) {
        ++asked_;
        if (recv(fd, request.data(), request.size(), 0) > 0) heard_more_ = true;
      }
      close(fd);
    }
  }

  const int fd_;
  int port_ = 0;
  std::atomic<int> asked_ = 0;
  std::atomic<bool> heard_more_ = false;
  std::thread thread_;
};

TEST_F(TlsToServerTest, AnOfferThatIsTakenAwayIsNoLicence) {
  const auto ca = Believe(certificates_->ca());
  for (const char* mode : {"verify-full", "verify-ca", "require", "prefer"}) {
    const Stripper between;
    Begin({.patience = absl::Seconds(1), .tls_to_server = mode, .believes = ca, .instance_port = between.port()});
    const Client client = Connect();
    EXPECT_FALSE(client.ok());
    EXPECT_THAT(client.error(), HasSubstr("does not answer")) << mode;
    endpoint_.reset();
    EXPECT_GT(between.asked(), 0) << mode;
    EXPECT_EQ(between.heard_more(), std::string(mode) == "prefer") << mode << ": only that goes on in clear";
  }
}

TEST_F(TlsToServerTest, TheNameCountsForVerifyFull) {
  // "localhost" is the same server, by a name that its certificate does not have.
  const auto ca = Believe(certificates_->ca());
  const auto ask = [&](const char* mode) {
    Begin({.patience = absl::Seconds(1), .tls_to_server = mode, .believes = ca, .instance_host = "localhost"});
    Client client = Connect();
    return client.ok() ? client.One("select 1") : client.error();
  };
  EXPECT_EQ(ask("verify-ca"), "1");
  EXPECT_THAT(ask("verify-full"), HasSubstr("does not answer"));
}

TEST_F(TlsToServerTest, ANewCaIsTakenUp) {
  const TestCertificates strange("strange CA");
  const std::string path = certificates_->Write("believed.crt", Believe(strange.ca())->Get()->ca_pem());
  const auto believes = Believe(path);
  EXPECT_THAT(Ask("verify-full", "prefer", believes), HasSubstr("does not answer"));
  certificates_->Write("believed.crt", Believe(certificates_->ca())->Get()->ca_pem());
  believes->Look(absl::Now());
  const auto news = believes->Look(absl::Now());
  ASSERT_TRUE(news && news->ok());
  // A server that was away is tried again every second.
  const absl::Time give_up = absl::Now() + absl::Seconds(30);
  std::string said;
  while (said != "1" && absl::Now() < give_up) {
    Client client = Connect();
    said = client.ok() ? client.One("select 1") : client.error();
  }
  EXPECT_EQ(said, "1");
}

}  // namespace
}  // namespace leasehold::gateway::testing_stack
