// docs/nats-users.conf, in a server: each user can do what its processes do, and cannot speak for others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "common/jetstream/options.h"
#include "common/localserver/localserver.h"

namespace leasehold::jetstream {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

// One that delivers where its maker may not publish.
constexpr char kCreateConsumer[] = "$JS.API.CONSUMER.DURABLE.CREATE.TENANTS.provisioner-identity";
constexpr absl::Duration kPatience = absl::Seconds(5);

class PermissionsTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* variable : {"NATS_GATEWAY_PASSWORD", "NATS_PROVISIONER_PASSWORD", "NATS_ANNOUNCER_PASSWORD"}) {
      setenv(variable, "correct-horse", 1);
    }
    auto server = localserver::NatsServer::Start(
        {.data_dir = folder_.path() + "/nats", .arguments = {"--config", LEASEHOLD_NATS_USERS}});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    gateway_ = As("gateway");
    provisioner_ = As("provisioner-identity");
    announcer_ = As("announcer");
    ASSERT_TRUE(gateway_ && provisioner_ && announcer_);
    ASSERT_EQ(gateway_->EnsureStream(TenantsStream(1)), absl::OkStatus());
    ASSERT_EQ(gateway_->EnsureStream(ProvisioningStream(1)), absl::OkStatus());
  }

  std::unique_ptr<Client> As(const std::string& user) {
    auto client = Connect({.url = server_->Url(), .name = user},
                          {.username = user, .password = Secret(std::string("correct-horse"))});
    EXPECT_TRUE(client.ok()) << client.status();
    return client.ok() ? *std::move(client) : nullptr;
  }
  std::unique_ptr<PullConsumer> Pull(Client& client, const std::string& stream, const std::string& durable,
                                     const std::string& filter) {
    auto consumer = client.Subscribe({.stream = stream, .durable = durable, .filter_subject = filter});
    EXPECT_TRUE(consumer.ok()) << consumer.status();
    return consumer.ok() ? *std::move(consumer) : nullptr;
  }
  // The subjects that a stream has taken since it was last asked, acknowledged.
  static std::vector<std::string> Taken(PullConsumer& consumer, absl::Duration wait = kPatience) {
    std::vector<std::string> subjects;
    const auto messages = consumer.Fetch(100, wait);
    EXPECT_TRUE(messages.ok()) << messages.status();
    for (const auto& message : *messages) {
      subjects.emplace_back(message->subject());
      message->Ack();
    }
    return subjects;
  }

  const localserver::TemporaryDirectory folder_;
  std::unique_ptr<localserver::NatsServer> server_;
  std::unique_ptr<Client> gateway_;
  std::unique_ptr<Client> provisioner_;
  std::unique_ptr<Client> announcer_;
};

TEST_F(PermissionsTest, AProvisionerDoesItsWork) {
  EXPECT_EQ(provisioner_->EnsureStream(TenantsStream(1)), absl::OkStatus());
  EXPECT_EQ(provisioner_->EnsureStream(ProvisioningStream(1)), absl::OkStatus());
  // The gateway has made it; a provisioner may not.
  ASSERT_NE(Pull(*gateway_, "TENANTS", "provisioner-identity", "tenants.>"), nullptr);
  const auto events = Pull(*provisioner_, "TENANTS", "provisioner-identity", "tenants.>");
  ASSERT_NE(events, nullptr);
  ASSERT_EQ(announcer_->Publish("tenants.acme.created", "{}", {}, ""), absl::OkStatus());
  EXPECT_THAT(Taken(*events), SizeIs(1));
  EXPECT_THAT(Taken(*events, absl::Milliseconds(300)), IsEmpty()) << "it was acknowledged";
  EXPECT_EQ(provisioner_->Publish("provisioning.identity.acme.ready", "{}", {}, "1"), absl::OkStatus());
  EXPECT_EQ(provisioner_->Publish("provisioning.dead.identity", "{}", {}, "2"), absl::OkStatus());
  for (const char* subject :
       {"migration.identity", "migration.identity.all", "instance.identity", "instance.identity.all"}) {
    const auto answers = provisioner_->Respond(subject, "provisioners",
                                               [](std::string_view request) { return std::string(request) + "!"; });
    ASSERT_TRUE(answers.ok()) << answers.status();
    absl::StatusOr<std::string> answer;
    for (const absl::Time end = absl::Now() + kPatience; absl::Now() < end && !answer.ok();) {
      answer = gateway_->Request(subject, "plan", absl::Seconds(1));
    }
    EXPECT_EQ(answer.value_or("nobody answers"), "plan!") << subject;
  }
}

TEST_F(PermissionsTest, NobodySpeaksForAnother) {
  const auto tenants = Pull(*gateway_, "TENANTS", "watch-tenants", "tenants.>");
  const auto reports = Pull(*gateway_, "PROVISIONING", "watch-reports", "provisioning.>");
  ASSERT_TRUE(tenants && reports);
  struct Forged {
    Client* client;
    std::string subject;
  };
  for (const auto& [client, subject] : std::vector<Forged>{{announcer_.get(), "tenants.acme.deleted"},
                                                           {announcer_.get(), "tenants.acme.suspended"},
                                                           {announcer_.get(), "provisioning.identity.acme.ready"},
                                                           {announcer_.get(), "$KV.leases.revocation.1-1"},
                                                           {announcer_.get(), "$JS.API.STREAM.DELETE.TENANTS"},
                                                           {announcer_.get(), "migration.identity"},
                                                           {provisioner_.get(), "tenants.acme.deleted"},
                                                           {provisioner_.get(), "provisioning.core.acme.ready"},
                                                           {provisioner_.get(), "$KV.leases.revocation.1-1"},
                                                           {provisioner_.get(), "$JS.API.STREAM.DELETE.TENANTS"},
                                                           {provisioner_.get(), kCreateConsumer},
                                                           {provisioner_.get(), "instance.core"},
                                                           {provisioner_.get(), "migration.core"}}) {
    EXPECT_FALSE(client->Request(subject, "{}", absl::Milliseconds(300)).ok()) << subject;
  }
  // What each may say comes after all of that, and alone.
  ASSERT_EQ(announcer_->Publish("tenants.acme.created", "{}", {}, ""), absl::OkStatus());
  ASSERT_EQ(provisioner_->Publish("provisioning.identity.acme.ready", "{}", {}, ""), absl::OkStatus());
  EXPECT_THAT(Taken(*tenants), testing::ElementsAre("tenants.acme.created"));
  EXPECT_THAT(Taken(*reports), testing::ElementsAre("provisioning.identity.acme.ready"));
}

TEST_F(PermissionsTest, WithoutAPasswordNobodyGetsIn) {
  auto client = Connect({.url = server_->Url(), .name = "stranger"}, Security());
  EXPECT_TRUE(!client.ok() || !(*client)->EnsureStream(TenantsStream(1)).ok());
}

}  // namespace
}  // namespace leasehold::jetstream
