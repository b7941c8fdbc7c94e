// A server that is away, comes back, or has lost what it held.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>

#include "common/jetstream/natstest_fixture.h"

namespace leasehold::jetstream {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

using RecoveryTest = JetStreamTest;

TEST_F(RecoveryTest, BadUrlIsRefused) {
  for (const char* url :
       {"", "http://127.0.0.1:4222", "127.0.0.1:4222", "nats://", "nats://:4222", "nats://h:", "nats://h:0",
        "nats://h:65536", "nats://h:4222x", "nats://h/path", "nats://[::1:4222", "nats://a:1,nats://"}) {
    EXPECT_EQ(ReasonOf(Client::Connect({.url = url}).status()), v1::REASON_INVALID_FIELD) << url;
  }
}

TEST_F(RecoveryTest, APasswordInTheUrlIsNotRepeated) {
  auto client = Client::Connect({.url = "nats://user:hunter2@h:x"});
  EXPECT_THAT(client.status().ToString(), Not(HasSubstr("hunter2")));
  EXPECT_EQ(ReasonOf(client.status()), v1::REASON_INVALID_FIELD);
}

TEST_F(RecoveryTest, ConnectsLaterIfTheServerIsDown) {
  server_->Stop();
  const absl::Time begin = absl::Now();
  client_ = Connect(states_.Recorder());
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
  EXPECT_FALSE(client_->connected());
  EXPECT_EQ(ReasonOf(client_->EnsureStream(TenantsStream(1))), v1::REASON_NATS_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(Publish("tenants.a.created", "x")), v1::REASON_NATS_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(client_->OpenKeyValue({.bucket = "leases"}, {}).status()), v1::REASON_NATS_UNAVAILABLE);
  ASSERT_TRUE(server_->Restart().ok());
  EXPECT_TRUE(Eventually([&] { return states_.Get() == std::vector<std::string>{"down", "up"}; }));
  EXPECT_TRUE(client_->connected());
  EXPECT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  EXPECT_TRUE(Publish("tenants.a.created", "x").ok());
}

TEST_F(RecoveryTest, ReportsLossAndReconnection) {
  client_ = Connect(states_.Recorder());
  server_->Kill();
  EXPECT_TRUE(Eventually([&] { return states_.Get() == std::vector<std::string>{"up", "down"}; }));
  ASSERT_TRUE(server_->Restart().ok());
  EXPECT_TRUE(Eventually([&] { return states_.Get() == std::vector<std::string>{"up", "down", "up"}; }));
  client_.reset();
  const auto final_states = states_.Get();
  server_->Kill();
  EXPECT_EQ(states_.Get(), final_states);
}

TEST_F(RecoveryTest, AClientThatNeverConnectedCanBeDestroyed) {
  server_->Stop();
  client_ = Connect();
  client_.reset();
}

TEST_F(RecoveryTest, ARestartLosesNothing) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  auto consumer = Subscribe();
  ASSERT_TRUE(Publish("tenants.a.created", "acked").ok());
  ASSERT_TRUE(Publish("tenants.b.created", "kept").ok());
  Messages first = Take(*consumer, 1);
  ASSERT_THAT(first, SizeIs(1));
  server_->Stop();
  EXPECT_EQ(ReasonOf(consumer->Fetch(1, absl::Milliseconds(50)).status()), v1::REASON_NATS_UNAVAILABLE);
  first[0]->Ack();  // buffered until the server is back
  ASSERT_TRUE(server_->Restart().ok());
  ASSERT_TRUE(Eventually([&] { return Publish("tenants.c.created", "new").ok(); }));
  // At least once: a server that stopped before it noted a delivery makes it again.
  std::set<std::string> taken;
  while (!taken.contains("kept") || !taken.contains("new")) {
    Messages messages = Take(*consumer);
    ASSERT_FALSE(messages.empty());
    for (const auto& message : messages) {
      taken.emplace(message->payload());
      message->Ack();
    }
  }
  EXPECT_THAT(TakeNow(*consumer), IsEmpty());
}

TEST_F(RecoveryTest, ALongFetchSurvivesARestart) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  auto consumer = Subscribe();
  absl::StatusOr<Messages> fetched;
  std::thread fetcher([&] { fetched = consumer->Fetch(1, absl::Seconds(60)); });
  server_->Kill();
  EXPECT_TRUE(server_->Restart().ok());
  EXPECT_TRUE(Eventually([&] { return Publish("tenants.a.created", "x").ok(); }));
  const absl::Time published = absl::Now();
  fetcher.join();
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_THAT(*fetched, SizeIs(1));
  EXPECT_LT(absl::Now() - published, absl::Seconds(15));
}

TEST_F(RecoveryTest, LostStreamsAndConsumersAreMadeAgainByFetch) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  auto consumer = Subscribe();
  LoseEverything();
  EXPECT_TRUE(Eventually([&] { return consumer->Fetch(1, absl::Milliseconds(100)).ok(); }));
  auto other = Connect();
  ASSERT_TRUE(other->Publish("tenants.a.created", "x", {}, "").ok());  // `other` knows no stream: the fetch made it
  EXPECT_EQ(Take(*consumer)[0]->payload(), "x");
}

TEST_F(RecoveryTest, LostStreamsAreMadeAgainByPublish) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  LoseEverything();
  EXPECT_TRUE(Eventually([&] { return Publish("tenants.a.created", "x").ok(); }));
  auto consumer = Subscribe();
  EXPECT_EQ(Take(*consumer)[0]->payload(), "x");
}

TEST_F(RecoveryTest, DeletedConsumersAndStreamsAreMadeAgain) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  auto consumer = Subscribe();
  Operator op(server_->Url());
  op.DeleteConsumer("TENANTS", "identity");
  ASSERT_TRUE(Publish("tenants.a.created", "1").ok());
  Messages messages = Take(*consumer);
  EXPECT_EQ(messages[0]->payload(), "1");
  op.DeleteStream("TENANTS");
  messages[0]->Ack();
  auto fetched = consumer->Fetch(1, absl::Seconds(1));
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  ASSERT_TRUE(Connect()->Publish("tenants.a.created", "2", {}, "").ok());
  EXPECT_EQ(Take(*consumer)[0]->payload(), "2");
}

}  // namespace
}  // namespace leasehold::jetstream
