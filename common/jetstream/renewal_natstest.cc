// Certificates, CAs and passwords that are replaced while a client is connected, and servers that refuse it for a
// while.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>
#include <fstream>
#include <iterator>

#include "common/clock/clock.h"
#include "common/jetstream/natstest_fixture.h"
#include "common/jetstream/options.h"
#include "common/telemetry/metrics.h"
#include "common/tls/testing_certificates.h"
#include "common/tls/watcher.h"

namespace leasehold::jetstream {
namespace {

using localserver::NatsServer;
using tls::TestCertificates;

class RenewalTest : public testing::Test {
 protected:
  std::string Data() const { return folder_.path() + "/nats"; }
  void Serve(NatsServer::Options options) {
    auto started = NatsServer::Start(std::move(options));
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
    config_.set_url(server_->Url());
  }
  // Of a server that reads it at each start.
  std::string WritePasswordOfServer(const std::string& password) {
    return certificates_.Write("server.conf",
                               std::format("authorization {{ user: leasehold, password: {} }}\n", password));
  }
  void Connect() {
    const auto security = ReadSecurity(config_, [](const char*) { return std::nullopt; }, watcher_);
    ASSERT_TRUE(security.ok()) << security.status();
    auto client = jetstream::Connect({.url = config_.url(), .name = "test", .on_state = states_.Recorder()}, *security);
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }
  bool BecomesUp() {
    return Eventually([this] { return client_->connected() && states_.Get().back() == "up"; });
  }
  // As a daemon's watcher would in two seconds.
  void LookAtFiles() {
    watcher_.Look();
    watcher_.Look();
  }
  void AwaitRefusals(size_t count) {
    const std::string log = Data() + ".log";
    EXPECT_TRUE(Eventually([&] {
      std::ifstream file(log);
      const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
      size_t found = 0;
      for (size_t at = text.find("authentication error"); at != std::string::npos;
           at = text.find("authentication error", at + 1)) {
        ++found;
      }
      return found >= count;
    }));
  }

  TestCertificates certificates_;
  TestCertificates others_{"another CA"};
  localserver::TemporaryDirectory folder_;
  const SystemClock clock_;
  Metrics metrics_;
  tls::Watcher watcher_{clock_, metrics_};
  States states_;
  v1::NatsConfig config_;
  std::unique_ptr<NatsServer> server_;
  std::unique_ptr<Client> client_;
};

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST_F(RenewalTest, AReplacedCertificateIsShownAtTheNextConnection) {
  const tls::IdentityFiles server = certificates_.Make("nats");
  const std::string believed = certificates_.Write("believed.crt", Contents(certificates_.ca()));
  Serve(
      {.data_dir = Data(), .certificate_file = server.certificate, .key_file = server.key, .client_ca_file = believed});
  const tls::IdentityFiles own = certificates_.Make("gateway");
  config_.set_ca_file(certificates_.ca());
  config_.set_certificate_file(own.certificate);
  config_.set_key_file(own.key);
  Connect();
  ASSERT_TRUE(BecomesUp());

  const tls::IdentityFiles renewed = others_.Make("gateway");
  certificates_.Write("gateway.crt", Contents(renewed.certificate));
  certificates_.Write("gateway.key", Contents(renewed.key));
  LookAtFiles();
  EXPECT_TRUE(client_->EnsureStream({.name = "S", .subjects = {"s.>"}}).ok()) << "what is up is left alone";
  EXPECT_EQ(states_.Get(), std::vector<std::string>{"up"});

  // From now on a server that would refuse the certificate that was there at the start.
  certificates_.Write("believed.crt", Contents(others_.ca()));
  ASSERT_TRUE(server_->Restart().ok());
  EXPECT_TRUE(Eventually([&] { return client_->Publish("s.a", "x", {}, "").ok(); }));
}

TEST_F(RenewalTest, AReplacedCaIsBelievedWhileThereIsNoConnection) {
  const tls::IdentityFiles server = certificates_.Make("nats");
  const std::string believed = certificates_.Write("believed.crt", Contents(certificates_.ca()));
  Serve({.data_dir = Data(), .certificate_file = server.certificate, .key_file = server.key});
  config_.set_ca_file(believed);
  Connect();
  ASSERT_TRUE(BecomesUp());
  ASSERT_TRUE(client_->EnsureStream({.name = "S", .subjects = {"s.>"}}).ok());

  const tls::IdentityFiles renewed = others_.Make("nats");
  certificates_.Write("nats.crt", Contents(renewed.certificate));
  certificates_.Write("nats.key", Contents(renewed.key));
  ASSERT_TRUE(server_->Restart().ok());
  EXPECT_TRUE(Eventually([&] { return states_.Get().back() == "down"; }));
  EXPECT_FALSE(client_->Publish("s.a", "x", {}, "").ok()) << "its certificate is a stranger's";

  certificates_.Write("believed.crt", Contents(others_.ca()));
  LookAtFiles();
  EXPECT_TRUE(Eventually([&] { return client_->Publish("s.a", "x", {}, "").ok(); }));
}

TEST_F(RenewalTest, RefusedCredentialsAreTriedAgainAndAllGoesOnWithTheNewPassword) {
  Serve({.data_dir = Data(), .arguments = {"-c", WritePasswordOfServer("first")}});
  config_.set_username("leasehold");
  config_.set_password_file(certificates_.Write("password", "first\n"));
  Connect();
  ASSERT_TRUE(BecomesUp());
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  auto consumer = client_->Subscribe({.stream = "TENANTS", .durable = "identity"});
  ASSERT_TRUE(consumer.ok()) << consumer.status();
  absl::Mutex mu;
  std::string seen;
  auto bucket = client_->OpenKeyValue({.bucket = "leases"},
                                      {.on_entry = [&](const std::string& key, std::optional<std::string_view>) {
                                        absl::MutexLock lock(&mu);
                                        seen = key;
                                      }});
  ASSERT_TRUE(bucket.ok()) << bucket.status();
  auto responder = client_->Respond("ask", "", [](std::string_view request) { return std::string(request) + "!"; });
  ASSERT_TRUE(responder.ok()) << responder.status();

  WritePasswordOfServer("second");
  ASSERT_TRUE(server_->Restart().ok());
  AwaitRefusals(5);
  EXPECT_FALSE(client_->connected());

  certificates_.Write("password", "second\n");
  ASSERT_TRUE(BecomesUp());
  ASSERT_TRUE(Eventually([&] { return client_->Publish("tenants.a.created", "x", {}, "").ok(); }));
  auto messages = (*consumer)->Fetch(1, kPatience);
  ASSERT_TRUE(messages.ok()) << messages.status();
  ASSERT_EQ(messages->size(), 1U);
  (*messages)[0]->Ack();
  EXPECT_TRUE(Eventually([&] { return *client_->Pending("TENANTS", "identity") == 0; }));
  EXPECT_TRUE((*bucket)->Put("k", "v").ok());
  EXPECT_TRUE(Eventually([&] {
    absl::MutexLock lock(&mu);
    return seen == "k";
  }));
  const auto answer = client_->Request("ask", "who", absl::Seconds(5));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(*answer, "who!");
  EXPECT_EQ(states_.Get(), (std::vector<std::string>{"up", "down", "up"}));
}

TEST_F(RenewalTest, RefusedFromTheStart) {
  Serve({.data_dir = Data(), .arguments = {"-c", WritePasswordOfServer("right")}});
  config_.set_username("leasehold");
  config_.set_password_file(certificates_.Write("password", "wrong\n"));
  Connect();
  auto responder = client_->Respond("ask", "", [](std::string_view) { return std::string("here"); });
  ASSERT_TRUE(responder.ok()) << responder.status();
  AwaitRefusals(5);
  certificates_.Write("password", "right\n");
  ASSERT_TRUE(BecomesUp());
  EXPECT_TRUE(Eventually([&] { return client_->Request("ask", "", absl::Seconds(5)).ok(); }));
}

// A file that cannot be used changes nothing, and a client that is being refused can be destroyed.
TEST_F(RenewalTest, APasswordFileThatIsGone) {
  Serve({.data_dir = Data(), .arguments = {"-c", WritePasswordOfServer("right")}});
  config_.set_username("leasehold");
  config_.set_password_file(certificates_.Write("password", "wrong\n"));
  Connect();
  AwaitRefusals(3);
  std::filesystem::remove(certificates_.PathOf("password"));
  EXPECT_FALSE(client_->Request("ask", "", absl::Seconds(1)).ok());
  certificates_.Write("password", "right\n");
  ASSERT_TRUE(BecomesUp());
  WritePasswordOfServer("other");
  ASSERT_TRUE(server_->Restart().ok());
  client_.reset();
}

}  // namespace
}  // namespace leasehold::jetstream
