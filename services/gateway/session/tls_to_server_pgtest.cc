// TLS between the gateway and PostgreSQL.
#include <gmock/gmock.h>

#include "common/tls/testing_certificates.h"
#include "services/gateway/pool/fake_postgres.h"
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

// Who answers SSLRequest with N in the server's place, and would let anybody in.
TEST_F(TlsToServerTest, AnOfferThatIsTakenAwayIsNoLicence) {
  const auto ca = Believe(certificates_->ca());
  for (const char* mode : {"verify-full", "verify-ca", "require", "prefer"}) {
    FakePostgres between;
    Begin({.patience = absl::Seconds(1), .tls_to_server = mode, .believes = ca, .instance_port = between.port()});
    const bool in_clear = std::string(mode) == "prefer";
    const Client client = Connect();
    EXPECT_EQ(client.ok(), in_clear) << mode;
    EXPECT_GT(between.tls_refusals(), 0) << mode;
    EXPECT_EQ(between.logins() > 0, in_clear) << mode << ": nobody else goes on in clear";
    endpoint_.reset();
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
