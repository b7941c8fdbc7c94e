// The HTTP port through TLS.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <csignal>

#include "common/daemon/daemon.h"
#include "common/daemon/readiness.h"
#include "common/localserver/localserver.h"
#include "common/tls/testing_certificates.h"

namespace leasehold {
namespace {

using ::testing::HasSubstr;
using tls::Role;
using tls::TestCertificates;

class HttpTlsTest : public testing::Test {
 protected:
  HttpTlsTest() { std::signal(SIGPIPE, SIG_IGN); }  // as a daemon's SignalWaiter does

  void Serve(const std::string& client_ca) {
    live_ = *tls::LiveCredentials::Open(
        TestCertificates::OptionsOf(Role::kServer, certificates_.Make("server"), client_ca), absl::Now());
    endpoint_ =
        std::make_unique<HttpEndpoint>(health_, metrics_, HttpLimits{.patience = absl::Milliseconds(500)}, live_);
    ASSERT_TRUE(endpoint_->Start(listen_).ok());
  }
  // The status of the answer; 0: none came.
  int Get(const std::string& path, const tls::IdentityFiles& own = {}, std::string ca = "") {
    httplib::SSLClient client(listen_.host, listen_.port, own.certificate, own.key);
    client.set_ca_cert_path(ca.empty() ? certificates_.ca() : ca);
    client.enable_server_certificate_verification(true);
    const httplib::Result result = client.Get(path);
    body_ = result ? result->body : "";
    return result ? result->status : 0;
  }

  TestCertificates certificates_;
  std::shared_ptr<tls::LiveCredentials> live_;
  FakeClock clock_;
  Health health_{clock_};
  Metrics metrics_;
  HostPort listen_{"127.0.0.1", localserver::FreePort()};
  std::unique_ptr<HttpEndpoint> endpoint_;
  std::string body_;
};

TEST_F(HttpTlsTest, Encrypted) {
  Serve("");
  metrics_.Counter("leasehold_x_total", std::string(300'000, 'h')).Increment();
  EXPECT_EQ(Get("/livez"), 200);
  EXPECT_EQ(Get("/metrics"), 200) << "without a CA nobody is asked";
  EXPECT_THAT(body_, HasSubstr("leasehold_x_total 1"));
  EXPECT_GT(body_.size(), 300'000U);
  EXPECT_EQ(Get("/livez", {}, TestCertificates("strange CA").ca()), 0);
  EXPECT_FALSE(httplib::Client(listen_.host, listen_.port).Get("/livez")) << "in clear";
  EXPECT_EQ(Get("/livez"), 200);
}

TEST_F(HttpTlsTest, WhatNamesTenantsNeedsACertificate) {
  Serve(certificates_.ca());
  TestCertificates strange("strange CA");
  for (const char* path : {"/metrics", "/healthz", "/nowhere"}) {
    EXPECT_EQ(Get(path), 401) << path;
    EXPECT_THAT(body_, HasSubstr("client certificate")) << path;
  }
  EXPECT_EQ(Get("/livez"), 200);
  EXPECT_EQ(Get("/readyz"), 200);
  EXPECT_EQ(Get("/servingz"), 404) << "of whoever serves it; it names nobody either";
  EXPECT_EQ(Get("/metrics", certificates_.Make("scraper")), 200);
  EXPECT_EQ(Get("/metrics", strange.Make("scraper")), 0);
  EXPECT_EQ(Get("/livez", certificates_.Make("late", {.end = absl::Now() - absl::Minutes(1)})), 0);
}

// As a container's health check, which has the daemon's own files.
TEST_F(HttpTlsTest, IsAskedWhetherItIsReady) {
  Serve(certificates_.ca());
  const HttpFiles files{.certificate = certificates_.PathOf("server.crt"), .key = certificates_.PathOf("server.key")};
  EXPECT_TRUE(CheckReady(listen_, files).ok());
  EXPECT_FALSE(CheckReady(listen_).ok()) << "in clear";
  health_.Require("nats");
  const absl::Status missing = CheckReady(listen_, files);
  EXPECT_EQ(missing.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("nats: not ready yet"));
  endpoint_->Stop();
  EXPECT_THAT(std::string(CheckReady(listen_, files).message()), HasSubstr("https://127.0.0.1:"));
}

TEST_F(HttpTlsTest, Rotation) {
  Serve("");
  TestCertificates next("next CA");
  const auto server = next.Make("server");
  ASSERT_EQ(std::rename(server.certificate.c_str(), certificates_.PathOf("server.crt").c_str()), 0);
  ASSERT_EQ(std::rename(server.key.c_str(), certificates_.PathOf("server.key").c_str()), 0);
  live_->Look(absl::Now());
  const auto news = live_->Look(absl::Now());
  ASSERT_TRUE(news && news->ok());
  EXPECT_EQ(Get("/livez"), 0);
  EXPECT_EQ(Get("/livez", {}, next.ca()), 200);
}

// As many as are served at a time stand still in their handshakes; they are hung up on, and others served.
TEST_F(HttpTlsTest, HalfHandshakesHoldNobodyUpForLong) {
  Serve("");
  const absl::Time start = absl::Now();
  std::vector<int> sockets;
  for (int i = 0; i < HttpLimits().served; ++i) {
    sockets.push_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(listen_.port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(connect(sockets.back(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(send(sockets.back(), "\x16\x03\x01\x02\x00\x01", 6, MSG_NOSIGNAL), 6);
  }
  EXPECT_EQ(Get("/livez"), 200);
  EXPECT_LT(absl::Now() - start, absl::Seconds(15));
  for (const int socket : sockets) close(socket);
}

}  // namespace
}  // namespace leasehold
