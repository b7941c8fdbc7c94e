// Who is let in by a server with TLS and users, and which servers are believed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>

#include "common/clock/clock.h"
#include "common/jetstream/options.h"
#include "common/localserver/localserver.h"
#include "common/status/error.h"
#include "common/telemetry/metrics.h"
#include "common/tls/testing_certificates.h"

namespace leasehold::jetstream {
namespace {

using localserver::NatsServer;
using ::testing::HasSubstr;
using tls::TestCertificates;

class SecurityTest : public testing::Test {
 protected:
  void Serve(const tls::IdentityFiles& server, const std::string& client_ca, std::vector<std::string> arguments = {}) {
    auto started = NatsServer::Start({.data_dir = folder_.path() + "/nats",
                                      .certificate_file = server.certificate,
                                      .key_file = server.key,
                                      .client_ca_file = client_ca,
                                      .arguments = std::move(arguments)});
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
    config_.set_url(server_->Url());
  }
  void Show(const tls::IdentityFiles& own) {
    config_.set_certificate_file(own.certificate);
    config_.set_key_file(own.key);
  }
  // Whether the server lets us do anything.
  absl::Status Use() {
    LH_ASSIGN_OR_RETURN(const Security security, ReadSecurity(
                                                     config_,
                                                     [this](const char* name) {
                                                       return password_.empty() || std::string_view(name) !=
                                                                                       "LEASEHOLD_NATS_PASSWORD"
                                                                  ? std::optional<std::string>()
                                                                  : password_;
                                                     },
                                                     watcher_));
    LH_ASSIGN_OR_RETURN(const auto client, Connect({.url = config_.url(), .name = "test"}, security));
    return client->EnsureStream({.name = "S", .subjects = {"s.>"}});
  }

  TestCertificates certificates_;
  const SystemClock clock_;
  Metrics metrics_;
  tls::Watcher watcher_{clock_, metrics_};
  localserver::TemporaryDirectory folder_;
  std::unique_ptr<NatsServer> server_;
  v1::NatsConfig config_;
  std::string password_;
};

TEST_F(SecurityTest, MutualTls) {
  Serve(certificates_.Make("nats"), certificates_.ca());
  config_.set_ca_file(certificates_.ca());
  Show(certificates_.Make("gateway"));
  EXPECT_TRUE(Use().ok()) << Use();
}

TEST_F(SecurityTest, WithoutACertificateNobodyGetsIn) {
  Serve(certificates_.Make("nats"), certificates_.ca());
  config_.set_ca_file(certificates_.ca());
  EXPECT_EQ(ReasonOf(Use()), v1::REASON_NATS_UNAVAILABLE);
  TestCertificates strange("strange CA");
  Show(strange.Make("gateway"));
  EXPECT_EQ(ReasonOf(Use()), v1::REASON_NATS_UNAVAILABLE);
}

TEST_F(SecurityTest, AStrangersServerIsNotBelieved) {
  Serve(certificates_.Make("nats"), "");
  config_.set_ca_file(certificates_.ca());
  ASSERT_TRUE(Use().ok()) << Use();
  const TestCertificates strange("strange CA");
  config_.set_ca_file(strange.ca());
  EXPECT_EQ(ReasonOf(Use()), v1::REASON_NATS_UNAVAILABLE);
}

TEST_F(SecurityTest, NorOneOfAnotherName) {
  Serve(certificates_.Make("nats", {.hosts = {"localhost"}}), "");
  config_.set_ca_file(certificates_.ca());
  EXPECT_EQ(ReasonOf(Use()), v1::REASON_NATS_UNAVAILABLE) << "the url says 127.0.0.1";
  config_.set_url(std::format("tls://localhost:{}", server_->port()));
  EXPECT_TRUE(Use().ok()) << Use();
}

TEST_F(SecurityTest, UsersHavePasswords) {
  Serve(certificates_.Make("nats"), "", {"--user", "leasehold", "--pass", "correct"});
  config_.set_ca_file(certificates_.ca());
  EXPECT_FALSE(Use().ok());
  config_.set_username("leasehold");
  EXPECT_THAT(std::string(Use().message()), HasSubstr("nats.password_file is ''"));
  config_.set_password_file(certificates_.Write("password", "correct\n"));
  EXPECT_TRUE(Use().ok()) << Use();
  // Not what stands before the NUL.
  const std::string file = certificates_.Write("password", std::string("correct\0x\n", 10));
  EXPECT_THAT(std::string(Use().message()),
              HasSubstr("nats.password_file is '" + file + "'; allowed: a file without a NUL byte"));
  password_ = "wrong";
  EXPECT_EQ(ReasonOf(Use()), v1::REASON_NATS_UNAVAILABLE);
}

TEST_F(SecurityTest, FilesThatCannotBeUsed) {
  config_.set_url("tls://127.0.0.1:1");
  config_.set_ca_file("/nowhere");
  EXPECT_THAT(std::string(Use().message()), HasSubstr("nats.ca_file is '/nowhere'"));
  config_.set_ca_file(certificates_.ca());
  Show({.certificate = certificates_.Make("a").certificate, .key = certificates_.Make("b").key});
  EXPECT_THAT(std::string(Use().message()), HasSubstr("nats.key_file is '"));
  Show({});
  config_.set_credentials_file("/nowhere");
  EXPECT_THAT(std::string(Use().message()), HasSubstr("nats.credentials_file is '/nowhere'"));
}

}  // namespace
}  // namespace leasehold::jetstream
