// TLS between clients and the gateway.
#include <gmock/gmock.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <optional>
#include <thread>

#include "common/tls/testing_certificates.h"
#include "services/gateway/session/testing_stack.h"

namespace leasehold::gateway::testing_stack {
namespace {

using testing::HasSubstr;
using tls::Role;
using tls::TestCertificates;

class TlsTest : public EndpointTest {
 protected:
  TlsTest() { std::signal(SIGPIPE, SIG_IGN); }  // the other side may hang up while OpenSSL writes

  // The certificate in server.crt and server.key.
  void Serve(bool require_tls = false) {
    certificates_.Make("server");
    tls::Options options = TestCertificates::OptionsOf(
        Role::kServer, {.certificate = certificates_.PathOf("server.crt"), .key = certificates_.PathOf("server.key")});
    options.prepare = SqlEndpoint::PrepareTls;
    auto live = tls::LiveCredentials::Open(std::move(options), absl::Now());
    ASSERT_TRUE(live.ok()) << live.status();
    live_ = *std::move(live);
    Begin({.tls = live_, .require_tls = require_tls});
  }
  std::optional<absl::Status> TakeUp() {
    live_->Look(absl::Now());
    return live_->Look(absl::Now());
  }
  std::string Verified(const std::string& more = "") const {
    return "sslmode=verify-full sslrootcert=" + certificates_.ca() + " " + more;
  }

  TestCertificates certificates_;
  std::shared_ptr<tls::LiveCredentials> live_;
};

TEST_F(TlsTest, EncryptedOrNot) {
  EXPECT_FALSE(Connect("sslmode=require").ok());  // there is no certificate yet
  EXPECT_TRUE(Connect("sslmode=prefer").ok());
  Serve();
  {
    Client client = Connect(Verified());
    ASSERT_TRUE(client.ok()) << client.error();
    EXPECT_EQ(PQsslInUse(client.get()), 1);
    const auto big = client.Exec("select repeat('x', 5*1024*1024)");
    EXPECT_EQ(PQgetlength(big.get(), 0, 0), 5 << 20);
    EXPECT_EQ(client.OneBound("select length($1::text)", {std::string(3 << 20, 'z').c_str()}), std::to_string(3 << 20));
    EXPECT_EQ(client.One("set leasehold.tenant = 'globex'"), "SET");
    EXPECT_EQ(client.One("select current_database()"), "tenant_globex_identity");
  }
  EXPECT_TRUE(Connect("sslmode=disable").ok());
  Client direct = Connect(Verified("sslnegotiation=direct"));
  ASSERT_TRUE(direct.ok()) << direct.error();
  EXPECT_EQ(direct.One("select 1"), "1");
}

TEST_F(TlsTest, NothingButTls) {
  Serve(true);
  const Client in_clear = Connect("sslmode=disable");
  EXPECT_FALSE(in_clear.ok());
  EXPECT_THAT(in_clear.error(), HasSubstr("this gateway takes TLS connections only"));
  EXPECT_TRUE(Connect(Verified()).ok());
  EXPECT_TRUE(Connect(Verified("sslnegotiation=direct")).ok());
}

TEST_F(TlsTest, LogInsAreBoundToTheConnection) {
  Serve();
  for (const char* negotiation : {"postgres", "direct"}) {
    Client client = Connect(Verified(std::string("channel_binding=require sslnegotiation=") + negotiation));
    ASSERT_TRUE(client.ok()) << client.error();
    EXPECT_EQ(client.One("select 1"), "1");
  }
  EXPECT_TRUE(Connect(Verified("channel_binding=disable")).ok());
  const Client wrong(Dsn("lh1.acme", "guess", Verified("channel_binding=require")));
  EXPECT_THAT(wrong.error(), HasSubstr("password is wrong"));
  EXPECT_THAT(Connect("sslmode=disable channel_binding=require").error(), HasSubstr("channel binding"));
}

TEST_F(TlsTest, AStrangersGatewayIsNotBelieved) {
  Serve();
  const TestCertificates strange("strange CA");
  const Client client = Connect("sslmode=verify-full sslrootcert=" + strange.ca());
  EXPECT_THAT(client.error(), HasSubstr("certificate verify failed"));
}

TEST_F(TlsTest, RotationUnderOpenSessions) {
  Serve();
  Client before = Connect(Verified());
  ASSERT_EQ(before.One("begin"), "BEGIN");
  TestCertificates next("next CA");
  for (const auto& [name, pem] :
       {std::pair("server.crt", next.Make("new").certificate), {"server.key", next.PathOf("new.key")}}) {
    ASSERT_EQ(std::rename(pem.c_str(), certificates_.PathOf(name).c_str()), 0);
  }
  const auto news = TakeUp();
  ASSERT_TRUE(news && news->ok());
  EXPECT_EQ(before.One("select current_database()"), "tenant_acme_identity") << "in the middle of its transaction";
  EXPECT_EQ(before.One("commit"), "COMMIT");
  EXPECT_THAT(Connect(Verified()).error(), HasSubstr("certificate verify failed")) << "the old CA's time is over";
  Client after = Connect("sslmode=verify-full channel_binding=require sslrootcert=" + next.ca());
  ASSERT_TRUE(after.ok()) << after.error();
  EXPECT_EQ(after.One("select 1"), "1");
  EXPECT_EQ(before.One("select 2"), "2");
}

TEST_F(TlsTest, ABadRotationChangesNothing) {
  Serve();
  certificates_.Write("server.crt", "nonsense");
  const auto news = TakeUp();
  ASSERT_TRUE(news && !news->ok());
  EXPECT_TRUE(Connect(Verified("channel_binding=require")).ok());
}

// Who has a certificate that the client believes (or a client that does not look) and sits between it and the gateway.
// Each side has TLS, with the one in between.
class Between {
 public:
  // `strip`: the offer of channel binding is taken away.
  Between(SSL_CTX* context, int gateway_port, bool strip)
      : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), gateway_port_(gateway_port), strip_(strip) {
    sockaddr_in address = Loopback(0);
    EXPECT_EQ(bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    socklen_t size = sizeof address;
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, context] { Run(context); });
  }
  ~Between() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  Between(const Between&) = delete;
  Between& operator=(const Between&) = delete;
  int port() const { return port_; }

 private:
  static sockaddr_in Loopback(int port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  void Run(SSL_CTX* context) {
    const int client = accept(listener_, nullptr, nullptr);
    if (client < 0) return;
    const int gateway = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = Loopback(gateway_port_);
    EXPECT_EQ(connect(gateway, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    std::array<char, 8> request{};
    EXPECT_EQ(recv(client, request.data(), request.size(), MSG_WAITALL), 8);  // SSLRequest
    EXPECT_EQ(send(gateway, request.data(), request.size(), 0), 8);
    EXPECT_EQ(recv(gateway, request.data(), 1, 0), 1);
    EXPECT_EQ(send(client, "S", 1, 0), 1);
    {
      const tls::SslPtr to_client(SSL_new(context));
      SSL_set_fd(to_client.get(), client);
      const auto anybody = *tls::Credentials::Read({.role = Role::kClient}, absl::Now());
      const tls::SslPtr to_gateway(SSL_new(anybody->context()));
      SSL_set_fd(to_gateway.get(), gateway);
      if (SSL_accept(to_client.get()) == 1 && SSL_connect(to_gateway.get()) == 1) {
        while (Pass(to_client.get(), to_gateway.get())) {
        }
      }
    }
    close(client);
    close(gateway);
  }

  bool Pass(SSL* client, SSL* gateway) {
    std::array<pollfd, 2> fds = {pollfd{.fd = SSL_get_fd(client), .events = POLLIN, .revents = 0},
                                 pollfd{.fd = SSL_get_fd(gateway), .events = POLLIN, .revents = 0}};
    if (poll(fds.data(), fds.size(), 20'000) <= 0) return false;
    SSL* from = fds[0].revents != 0 ? client : gateway;
    std::string bytes(16 * 1024, '\0');
    const int count = SSL_read(from, bytes.data(), static_cast<int>(bytes.size()));
    if (count <= 0) return false;
    bytes.resize(static_cast<size_t>(count));
    static constexpr std::string_view kOffer("R\0\0\0\x2a\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0", 43);
    static constexpr std::string_view kLess("R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0", 24);
    if (strip_ && bytes == kOffer) {
      bytes = kLess;
      stripped_ = true;
    }
    return SSL_write(from == client ? gateway : client, bytes.data(), static_cast<int>(bytes.size())) > 0;
  }

  const int listener_;
  const int gateway_port_;
  const bool strip_;
  int port_ = 0;

 public:
  std::atomic<bool> stripped_ = false;

 private:
  std::thread thread_;
};

class BetweenTest : public TlsTest {
 protected:
  std::string Through(const Between& between, const std::string& more) {
    const Client client(std::format("host=127.0.0.1 port={} user=lh1.acme password={} dbname=lh1.acme {}",
                                    between.port(), acme_, more));
    return client.ok() ? "in" : client.error();
  }
};

TEST_F(BetweenTest, ABoundLogInCannotBePassedOn) {
  Serve();
  const auto own = certificates_.Make("between");
  const auto context = *tls::Credentials::Read(TestCertificates::OptionsOf(Role::kServer, own), absl::Now());
  {
    const Between between(context->context(), endpoint_->port(), false);
    EXPECT_THAT(Through(between, "sslmode=require"), HasSubstr("password is wrong")) << "libpq binds if it can";
  }
  {
    const Between between(context->context(), endpoint_->port(), false);
    EXPECT_EQ(Through(between, "sslmode=require channel_binding=disable"), "in") << "else this test proves nothing";
  }
}

TEST_F(BetweenTest, TakingTheOfferAwayIsNoticed) {
  Serve();
  const auto own = certificates_.Make("between");
  const auto context = *tls::Credentials::Read(TestCertificates::OptionsOf(Role::kServer, own), absl::Now());
  {
    const Between between(context->context(), endpoint_->port(), true);
    EXPECT_THAT(Through(between, "sslmode=require"), HasSubstr("password is wrong")) << "the gateway notices";
    EXPECT_TRUE(between.stripped_);
  }
  {
    const Between between(context->context(), endpoint_->port(), true);
    EXPECT_THAT(Through(between, "sslmode=require channel_binding=require"), HasSubstr("channel binding"));
    EXPECT_TRUE(between.stripped_);
  }
}

constexpr std::string_view kSslRequest("\0\0\0\x08\x04\xd2\x16\x2f", 8);

int Reach(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const timeval patience = {.tv_sec = 20, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return fd;
}

// What came until then; nullopt if the other end does not hang up.
std::optional<std::string> UntilHungUpOn(int fd) {
  std::string all;
  std::array<char, 256> some{};
  while (true) {
    const ssize_t count = recv(fd, some.data(), some.size(), 0);
    if (count == 0 || (count < 0 && errno == ECONNRESET)) return all;
    if (count < 0) return std::nullopt;
    all.append(some.data(), static_cast<size_t>(count));
  }
}

// Somebody in between could put it there, for it to pass as said under TLS.
TEST_F(TlsTest, WhatStandsInClearBehindARequestEndsIt) {
  Serve();
  for (const std::string& behind : {std::string("Q"), std::string("\0\0\0\x11\0\x03\0\0user\0x\0\0\0", 17)}) {
    const int fd = Reach(endpoint_->port());
    const std::string sent = std::string(kSslRequest) + behind;
    ASSERT_EQ(send(fd, sent.data(), sent.size(), 0), static_cast<ssize_t>(sent.size()));
    EXPECT_EQ(UntilHungUpOn(fd), "") << "not even that there is TLS";
    close(fd);
  }
}

// So that no client of another protocol, say HTTPS, can be led here by who redirects it.
TEST_F(TlsTest, ADirectHandshakeNamesTheProtocol) {
  Serve();
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  const auto answer = [&](const std::string& alpn) {
    const int fd = Reach(endpoint_->port());
    const tls::SslPtr ssl(SSL_new(context.get()));
    SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(alpn.data()),
                        static_cast<unsigned int>(alpn.size()));
    SSL_set_fd(ssl.get(), fd);
    std::string said = "no handshake";
    if (SSL_connect(ssl.get()) == 1) {
      said.assign(256, '\0');
      const int count = SSL_read(ssl.get(), said.data(), static_cast<int>(said.size()));
      said.resize(static_cast<size_t>(std::max(count, 0)));
    }
    ERR_clear_error();
    close(fd);
    return said;
  };
  EXPECT_THAT(answer(""), HasSubstr("needs ALPN"));
  EXPECT_EQ(answer("\x08http/1.1"), "no handshake");
}

// Half a handshake, and what is none.
TEST_F(TlsTest, WhoDoesNotShakeHandsIsHungUpOn) {
  Serve();
  certificates_.Make("server");
  Begin({.tls = live_, .login_timeout = absl::Milliseconds(300)});
  const std::string asked(kSslRequest);
  for (const std::string& after :
       {std::string(), std::string("\x16\x03\x01\x02\x00\x01", 6), std::string(300, '\xff'), std::string("GET /")}) {
    const int fd = Reach(endpoint_->port());
    ASSERT_EQ(send(fd, asked.data(), asked.size(), 0), 8);
    char answer = 0;
    ASSERT_EQ(recv(fd, &answer, 1, 0), 1);
    EXPECT_EQ(answer, 'S');
    if (!after.empty()) {
      ASSERT_GT(send(fd, after.data(), after.size(), MSG_NOSIGNAL), 0);
    }
    EXPECT_NE(UntilHungUpOn(fd), std::nullopt) << "it was left hanging: " << after.size();
    close(fd);
  }
  EXPECT_TRUE(Connect(Verified()).ok()) << "others are served";
}

}  // namespace
}  // namespace leasehold::gateway::testing_stack
