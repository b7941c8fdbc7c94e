// Against a real nats-server, which is stopped, killed and robbed of its data.
#include "common/jetstream/jetstream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/jetstream/handles.h"
#include "common/localserver/localserver.h"
#include "common/status/error.h"

namespace leasehold::jetstream {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr absl::Duration kPatience = absl::Seconds(20);

// Calls `condition` until it holds or patience ends.
template <typename Condition>
bool Eventually(Condition condition) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (absl::Now() < deadline) {
    if (condition()) return true;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return false;
}

using Messages = std::vector<std::unique_ptr<Message>>;

// States as a list, readable from the test's thread.
class States {
 public:
  std::function<void(const absl::Status&)> Recorder() {
    return [this](const absl::Status& status) {
      absl::MutexLock lock(&mu_);
      states_.push_back(ReasonName(ReasonOf(status)) == "NATS_UNAVAILABLE" ? "down" : "up");
    };
  }
  std::vector<std::string> Get() {
    absl::MutexLock lock(&mu_);
    return states_;
  }

 private:
  absl::Mutex mu_;
  std::vector<std::string> states_ ABSL_GUARDED_BY(mu_);
};

class JetStreamTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = localserver::NatsServer::Start({.data_dir = Data()});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    client_ = Connect();
  }

  std::string Data() const { return directory_.path() + "/nats"; }

  std::unique_ptr<Client> Connect(std::function<void(const absl::Status&)> on_state = nullptr) {
    auto client = Client::Connect({.url = server_->Url(), .name = "test", .on_state = std::move(on_state)});
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }

  void LoseEverything() {
    server_->Kill();
    std::filesystem::remove_all(Data());
    ASSERT_TRUE(server_->Restart().ok());
  }

  absl::Status Publish(const std::string& subject, const std::string& payload, const std::string& id = "") {
    return client_->Publish(subject, payload, {}, id);
  }

  std::unique_ptr<PullConsumer> Subscribe(ConsumerOptions options = {}) {
    if (options.stream.empty()) options.stream = "TENANTS";
    if (options.durable.empty()) options.durable = "identity";
    auto consumer = client_->Subscribe(options);
    EXPECT_TRUE(consumer.ok()) << consumer.status();
    return *std::move(consumer);
  }

  // Fetches until something comes; failed attempts are part of the game while the server is away.
  Messages Take(PullConsumer& consumer, int max = 10) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (absl::Now() < deadline) {
      auto messages = consumer.Fetch(max, absl::Milliseconds(500));
      if (messages.ok() && !messages->empty()) return *std::move(messages);
    }
    ADD_FAILURE() << "no message came";
    return {};
  }

  Messages TakeNow(PullConsumer& consumer) {
    auto messages = consumer.Fetch(10, absl::Milliseconds(200));
    EXPECT_TRUE(messages.ok()) << messages.status();
    return messages.ok() ? *std::move(messages) : Messages();
  }

  localserver::TemporaryDirectory directory_;
  std::unique_ptr<localserver::NatsServer> server_;
  States states_;
  std::unique_ptr<Client> client_;
};

TEST_F(JetStreamTest, PublishesWithHeadersAndFetches) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  ASSERT_TRUE(client_->Publish("tenants.acme.created", "hello", {{"content-type", "text/plain"}}, "id-1").ok());
  auto consumer = Subscribe();
  Messages messages = Take(*consumer);
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(messages[0]->subject(), "tenants.acme.created");
  EXPECT_EQ(messages[0]->payload(), "hello");
  EXPECT_EQ(messages[0]->stream_sequence(), 1u);
  EXPECT_EQ(messages[0]->deliveries(), 1u);
  EXPECT_THAT(messages[0]->headers(), ElementsAre(Pair("Nats-Msg-Id", "id-1"), Pair("content-type", "text/plain")));
}

TEST_F(JetStreamTest, EmptyPayloadAndBinaryPayloadArriveAsTheyAre) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  const std::string binary("\0\r\n\xff MSG", 8);
  ASSERT_TRUE(Publish("tenants.a.created", "").ok());
  ASSERT_TRUE(Publish("tenants.a.created", binary).ok());
  auto consumer = Subscribe();
  Messages messages = Take(*consumer);
  ASSERT_THAT(messages, SizeIs(2));
  EXPECT_EQ(messages[0]->payload(), "");
  EXPECT_EQ(messages[1]->payload(), binary);
}

TEST_F(JetStreamTest, FetchWithoutMessagesIsEmptyAndTakesItsTime) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  auto consumer = Subscribe();
  const absl::Time begin = absl::Now();
  EXPECT_THAT(TakeNow(*consumer), IsEmpty());
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(150));
}

TEST_F(JetStreamTest, FetchReturnsAsSoonAsAMessageComes) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  auto consumer = Subscribe();
  std::thread publisher([this] { EXPECT_TRUE(Publish("tenants.a.created", "x").ok()); });
  const absl::Time begin = absl::Now();
  auto messages = consumer->Fetch(10, absl::Seconds(15));
  publisher.join();
  ASSERT_TRUE(messages.ok()) << messages.status();
  EXPECT_THAT(*messages, SizeIs(1));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
}

TEST_F(JetStreamTest, AcknowledgedMessagesDoNotComeAgain) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  ASSERT_TRUE(Publish("tenants.a.created", "1").ok());
  auto consumer = Subscribe({.ack_wait = absl::Milliseconds(300)});
  Messages messages = Take(*consumer);
  ASSERT_THAT(messages, SizeIs(1));
  messages[0]->Ack();
  ASSERT_TRUE(Publish("tenants.a.updated", "2").ok());
  // Two ack waits later, only the second one is there.
  messages = Take(*consumer);
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(messages[0]->payload(), "2");
  messages[0]->Ack();
  auto later = consumer->Fetch(10, absl::Seconds(1));
  ASSERT_TRUE(later.ok());
  EXPECT_THAT(*later, IsEmpty());
}

TEST_F(JetStreamTest, AcknowledgesFromAnotherThreadAfterTheConsumerIsGone) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  ASSERT_TRUE(Publish("tenants.a.created", "1").ok());
  auto consumer = Subscribe({.ack_wait = absl::Milliseconds(300)});
  Messages messages = Take(*consumer);
  ASSERT_THAT(messages, SizeIs(1));
  consumer.reset();
  EXPECT_EQ(messages[0]->payload(), "1");
  std::thread([&] { messages[0]->Ack(); }).join();
  consumer = Subscribe({.ack_wait = absl::Milliseconds(300)});
  auto later = consumer->Fetch(10, absl::Seconds(1));
  ASSERT_TRUE(later.ok());
  EXPECT_THAT(*later, IsEmpty());
}

TEST_F(JetStreamTest, MessagesOutliveTheClient) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  ASSERT_TRUE(Publish("tenants.a.created", "1").ok());
  auto consumer = Subscribe();
  Messages messages = Take(*consumer);
  client_.reset();
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(messages[0]->payload(), "1");
  messages[0]->Ack();  // goes nowhere
  EXPECT_EQ(ReasonOf(consumer->Fetch(1, absl::Milliseconds(10)).status()), v1::REASON_NATS_UNAVAILABLE);
}

TEST_F(JetStreamTest, DroppedMessagesComeAgainAfterTheAckWait) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  ASSERT_TRUE(Publish("tenants.a.created", "1").ok());
  auto consumer = Subscribe({.ack_wait = absl::Milliseconds(300)});
  EXPECT_EQ(Take(*consumer)[0]->deliveries(), 1u);
  Messages again = Take(*consumer);
  EXPECT_EQ(again[0]->deliveries(), 2u);
  EXPECT_EQ(again[0]->stream_sequence(), 1u);
}

TEST_F(JetStreamTest, InProgressRestartsTheAckWait) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  ASSERT_TRUE(Publish("tenants.a.created", "1").ok());
  auto consumer = Subscribe({.ack_wait = absl::Seconds(1)});
  Messages messages = Take(*consumer);
  for (int i = 0; i < 5; ++i) {
    messages[0]->InProgress();
    EXPECT_THAT(TakeNow(*consumer), IsEmpty());
  }
  for (int i = 0; i < 5; ++i) {  // 2 s in all: twice the ack wait
    messages[0]->InProgress();
    EXPECT_THAT(TakeNow(*consumer), IsEmpty());
  }
}

TEST_F(JetStreamTest, NakBringsItBackAtOnceOrAfterTheDelay) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  ASSERT_TRUE(Publish("tenants.a.created", "1").ok());
  auto consumer = Subscribe();
  Messages messages = Take(*consumer);
  messages[0]->Nak(absl::ZeroDuration());
  messages = Take(*consumer);
  EXPECT_EQ(messages[0]->deliveries(), 2u);

  const absl::Time begin = absl::Now();
  messages[0]->Nak(absl::Milliseconds(700));
  messages = Take(*consumer);
  EXPECT_EQ(messages[0]->deliveries(), 3u);
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(600));
}

TEST_F(JetStreamTest, TerminatedMessagesNeverComeAgain) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  ASSERT_TRUE(Publish("tenants.a.created", "1").ok());
  auto consumer = Subscribe({.ack_wait = absl::Milliseconds(200)});
  Take(*consumer)[0]->Term();
  auto later = consumer->Fetch(10, absl::Seconds(1));
  ASSERT_TRUE(later.ok());
  EXPECT_THAT(*later, IsEmpty());
}

TEST_F(JetStreamTest, TheSameMessageIdIsStoredOnce) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  ASSERT_TRUE(Publish("tenants.a.created", "1", "same").ok());
  ASSERT_TRUE(Publish("tenants.a.created", "1", "same").ok());
  ASSERT_TRUE(Publish("tenants.a.created", "2", "other").ok());
  auto consumer = Subscribe();
  Messages messages = Take(*consumer);
  ASSERT_THAT(messages, SizeIs(2));
  EXPECT_EQ(messages[1]->payload(), "2");
}

TEST_F(JetStreamTest, FiltersBySubject) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  ASSERT_TRUE(Publish("tenants.a.created", "1").ok());
  ASSERT_TRUE(Publish("tenants.b.created", "2").ok());
  auto consumer = Subscribe({.filter_subject = "tenants.b.*"});
  Messages messages = Take(*consumer);
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(messages[0]->payload(), "2");
}

TEST_F(JetStreamTest, StreamsAndConsumersAreEnsuredAgainWithOtherOptions) {
  StreamOptions options = TenantsStream(1);
  ASSERT_TRUE(client_->EnsureStream(options).ok());
  ASSERT_TRUE(client_->EnsureStream(options).ok());
  options.max_age = absl::Hours(1);
  EXPECT_TRUE(client_->EnsureStream(options).ok());
  Subscribe({.ack_wait = absl::Seconds(30)});
  auto consumer = Subscribe({.ack_wait = absl::Milliseconds(300)});
  ASSERT_TRUE(Publish("tenants.a.created", "1").ok());
  Take(*consumer);
  EXPECT_EQ(Take(*consumer)[0]->deliveries(), 2u);  // by the new ack wait
}

TEST_F(JetStreamTest, RefusesWhatWouldBreakTheProtocol) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  for (const char* subject :
       {"", "tenants..created", "tenants.a b", "tenants.*.created", "tenants.>", "a\r\nPUB x 0"}) {
    EXPECT_EQ(ReasonOf(Publish(subject, "x")), v1::REASON_INVALID_FIELD) << subject;
  }
  EXPECT_EQ(ReasonOf(client_->Publish("tenants.a.created", "x", {{"k", "v\r\nNats-Msg-Id: y"}}, "")),
            v1::REASON_INVALID_FIELD);
  EXPECT_EQ(ReasonOf(client_->Publish("tenants.a.created", "x", {{"a b", "v"}}, "")), v1::REASON_INVALID_FIELD);
  EXPECT_EQ(ReasonOf(client_->Subscribe({.stream = "TENANTS", .durable = "a.b"}).status()), v1::REASON_INVALID_FIELD);
}

TEST_F(JetStreamTest, SubjectWithoutStreamIsUnavailable) {
  EXPECT_EQ(ReasonOf(Publish("nobody.takes.this", "x")), v1::REASON_NATS_UNAVAILABLE);
}

TEST_F(JetStreamTest, ConsumerOfAnUnknownStreamIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(client_->Subscribe({.stream = "NOWHERE", .durable = "d"}).status()));
}

TEST_F(JetStreamTest, BadUrlIsRefused) {
  for (const char* url :
       {"", "http://127.0.0.1:4222", "127.0.0.1:4222", "nats://", "nats://:4222", "nats://h:", "nats://h:0",
        "nats://h:65536", "nats://h:4222x", "nats://h/path", "nats://[::1:4222", "nats://a:1,nats://"}) {
    EXPECT_EQ(ReasonOf(Client::Connect({.url = url}).status()), v1::REASON_INVALID_FIELD) << url;
  }
}

TEST_F(JetStreamTest, APasswordInTheUrlIsNotRepeated) {
  auto client = Client::Connect({.url = "nats://user:hunter2@h:x"});
  EXPECT_THAT(client.status().ToString(), Not(HasSubstr("hunter2")));
  EXPECT_EQ(ReasonOf(client.status()), v1::REASON_INVALID_FIELD);
}

TEST_F(JetStreamTest, ConnectsLaterIfTheServerIsDown) {
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

TEST_F(JetStreamTest, ReportsLossAndReconnection) {
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

TEST_F(JetStreamTest, AClientThatNeverConnectedCanBeDestroyed) {
  server_->Stop();
  client_ = Connect();
  client_.reset();
}

TEST_F(JetStreamTest, ARestartLosesNothing) {
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

TEST_F(JetStreamTest, ALongFetchSurvivesARestart) {
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

TEST_F(JetStreamTest, LostStreamsAndConsumersAreMadeAgainByFetch) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  auto consumer = Subscribe();
  LoseEverything();
  EXPECT_TRUE(Eventually([&] { return consumer->Fetch(1, absl::Milliseconds(100)).ok(); }));
  auto other = Connect();
  ASSERT_TRUE(other->Publish("tenants.a.created", "x", {}, "").ok());  // `other` knows no stream: the fetch made it
  EXPECT_EQ(Take(*consumer)[0]->payload(), "x");
}

TEST_F(JetStreamTest, LostStreamsAreMadeAgainByPublish) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  LoseEverything();
  EXPECT_TRUE(Eventually([&] { return Publish("tenants.a.created", "x").ok(); }));
  auto consumer = Subscribe();
  EXPECT_EQ(Take(*consumer)[0]->payload(), "x");
}

// What an operator's tool would do behind the client's back.
class Operator {
 public:
  explicit Operator(const std::string& url) {
    natsConnection* connection = nullptr;
    EXPECT_EQ(natsConnection_ConnectTo(&connection, url.c_str()), NATS_OK);
    connection_.reset(connection);
    jsCtx* jetstream = nullptr;
    EXPECT_EQ(natsConnection_JetStream(&jetstream, connection, nullptr), NATS_OK);
    jetstream_.reset(jetstream);
  }
  void DeleteStream(const char* name) { EXPECT_EQ(js_DeleteStream(jetstream_.get(), name, nullptr, nullptr), NATS_OK); }
  void DeleteConsumer(const char* stream, const char* name) {
    EXPECT_EQ(js_DeleteConsumer(jetstream_.get(), stream, name, nullptr, nullptr), NATS_OK);
  }

 private:
  NatsConnectionPtr connection_;
  JsCtxPtr jetstream_;
};

TEST_F(JetStreamTest, DeletedConsumersAndStreamsAreMadeAgain) {
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

// What a watch has seen.
class View {
 public:
  KeyValueWatch Watch() {
    return {.on_entry =
                [this](const std::string& key, std::optional<std::string_view> value) {
                  absl::MutexLock lock(&mu_);
                  if (value) {
                    entries_[key] = *value;
                  } else {
                    entries_.erase(key);
                  }
                },
            .on_synced =
                [this] {
                  absl::MutexLock lock(&mu_);
                  ++syncs_;
                }};
  }
  std::map<std::string, std::string> entries() {
    absl::MutexLock lock(&mu_);
    return entries_;
  }
  int syncs() {
    absl::MutexLock lock(&mu_);
    return syncs_;
  }
  bool Becomes(const std::map<std::string, std::string>& expected) {
    return Eventually([&] { return entries() == expected; });
  }
  bool Synced(int times) {
    return Eventually([&] { return syncs() >= times; });
  }

 private:
  absl::Mutex mu_;
  std::map<std::string, std::string> entries_ ABSL_GUARDED_BY(mu_);
  int syncs_ ABSL_GUARDED_BY(mu_) = 0;
};

class KeyValueTest : public JetStreamTest {
 protected:
  std::unique_ptr<KeyValue> Open(View& view, KeyValueOptions options = {.bucket = "leases"}) {
    auto bucket = client_->OpenKeyValue(options, view.Watch());
    EXPECT_TRUE(bucket.ok()) << bucket.status();
    return *std::move(bucket);
  }
};

TEST_F(KeyValueTest, WatchersSeeWhatIsThereAndWhatChanges) {
  View first;
  View second;
  auto bucket = Open(first);
  EXPECT_TRUE(first.Synced(1));  // of an empty bucket too
  ASSERT_TRUE(bucket->Put("a", "1").ok());
  ASSERT_TRUE(bucket->Put("b.c", std::string("\0x", 2)).ok());
  ASSERT_TRUE(bucket->Put("a", "2").ok());
  ASSERT_TRUE(bucket->Put("empty", "").ok());
  EXPECT_TRUE(first.Becomes({{"a", "2"}, {"b.c", std::string("\0x", 2)}, {"empty", ""}}));
  auto other = Open(second);
  EXPECT_TRUE(second.Synced(1));
  EXPECT_EQ(second.entries(), first.entries());  // complete at the first sync
  ASSERT_TRUE(other->Delete("a").ok());
  ASSERT_TRUE(other->Delete("never-there").ok());
  EXPECT_TRUE(first.Becomes({{"b.c", std::string("\0x", 2)}, {"empty", ""}}));
}

TEST_F(KeyValueTest, RefusesBadKeysAndBuckets) {
  View view;
  auto bucket = Open(view);
  for (const char* key : {"", "a b", "a..b", ".a", "a.", "*", ">", "a\r\nb", "ä"}) {
    EXPECT_EQ(ReasonOf(bucket->Put(key, "x")), v1::REASON_INVALID_FIELD) << key;
    EXPECT_EQ(ReasonOf(bucket->Delete(key)), v1::REASON_INVALID_FIELD) << key;
  }
  EXPECT_EQ(ReasonOf(client_->OpenKeyValue({.bucket = "a.b"}, {}).status()), v1::REASON_INVALID_FIELD);
}

TEST_F(KeyValueTest, EntriesExpire) {
  View view;
  auto bucket = Open(view, {.bucket = "leases", .ttl = absl::Seconds(1)});
  ASSERT_TRUE(bucket->Put("a", "1").ok());
  EXPECT_TRUE(view.Becomes({{"a", "1"}}));
  EXPECT_TRUE(Eventually([&] {
    View fresh;
    auto again = Open(fresh, {.bucket = "leases", .ttl = absl::Seconds(1)});
    return fresh.Synced(1) && fresh.entries().empty();
  }));
}

TEST_F(KeyValueTest, AnotherTtlIsApplied) {
  View view;
  Open(view, {.bucket = "leases"});
  auto bucket = Open(view, {.bucket = "leases", .ttl = absl::Seconds(1)});
  ASSERT_TRUE(bucket->Put("a", "1").ok());
  EXPECT_TRUE(Eventually([&] {
    View fresh;
    auto again = Open(fresh, {.bucket = "leases", .ttl = absl::Seconds(1)});
    return fresh.Synced(1) && fresh.entries().empty();
  }));
}

TEST_F(KeyValueTest, TheWatchGoesOnAfterARestart) {
  View view;
  auto bucket = Open(view);
  ASSERT_TRUE(bucket->Put("a", "1").ok());
  ASSERT_TRUE(view.Becomes({{"a", "1"}}));
  const int syncs = view.syncs();
  server_->Kill();
  EXPECT_TRUE(Eventually([&] { return !client_->connected(); }));
  EXPECT_EQ(ReasonOf(bucket->Put("a", "lost")), v1::REASON_NATS_UNAVAILABLE);
  ASSERT_TRUE(server_->Restart().ok());
  EXPECT_TRUE(view.Synced(syncs + 1));
  auto other = Connect();
  View other_view;
  auto other_bucket = other->OpenKeyValue({.bucket = "leases"}, other_view.Watch());
  ASSERT_TRUE(other_bucket.ok());
  ASSERT_TRUE((*other_bucket)->Put("b", "2").ok());
  EXPECT_TRUE(view.Becomes({{"a", "1"}, {"b", "2"}}));
}

TEST_F(KeyValueTest, DeletionsMissedWhileAwayAreSeenLater) {
  View view;
  auto bucket = Open(view);
  ASSERT_TRUE(bucket->Put("a", "1").ok());
  ASSERT_TRUE(view.Becomes({{"a", "1"}}));
  // The second client is quicker: its deletion may reach the server before the first is connected again.
  auto other = Connect();
  View other_view;
  auto other_bucket = other->OpenKeyValue({.bucket = "leases"}, other_view.Watch());
  ASSERT_TRUE(other_bucket.ok());
  server_->Kill();
  ASSERT_TRUE(server_->Restart().ok());
  EXPECT_TRUE(Eventually([&] { return (*other_bucket)->Delete("a").ok(); }));
  EXPECT_TRUE(view.Becomes({}));
}

TEST_F(KeyValueTest, ALostBucketIsMadeAgain) {
  View view;
  auto bucket = Open(view);
  ASSERT_TRUE(bucket->Put("a", "1").ok());
  ASSERT_TRUE(view.Becomes({{"a", "1"}}));
  const int syncs = view.syncs();
  LoseEverything();
  EXPECT_TRUE(view.Synced(syncs + 1));
  EXPECT_TRUE(Eventually([&] { return bucket->Put("b", "2").ok(); }));
  EXPECT_TRUE(view.Becomes({{"a", "1"}, {"b", "2"}}));  // what merely vanished is not announced
}

TEST_F(KeyValueTest, ABucketDeletedByHandIsMadeAgain) {
  View view;
  auto bucket = Open(view);
  ASSERT_TRUE(bucket->Put("a", "1").ok());
  ASSERT_TRUE(view.Becomes({{"a", "1"}}));
  const int syncs = view.syncs();
  Operator(server_->Url()).DeleteStream("KV_leases");
  ASSERT_TRUE(bucket->Put("b", "2").ok());  // makes it again at once
  EXPECT_TRUE(view.Becomes({{"a", "1"}, {"b", "2"}}));
  EXPECT_GT(view.syncs(), syncs);
}

TEST_F(KeyValueTest, ClosingAWatchIsQuickAndFinal) {
  View view;
  auto bucket = Open(view);
  ASSERT_TRUE(view.Synced(1));
  auto other = Connect();
  View other_view;
  auto other_bucket = other->OpenKeyValue({.bucket = "leases"}, other_view.Watch());
  ASSERT_TRUE(other_bucket.ok());
  const absl::Time begin = absl::Now();
  bucket.reset();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(2));
  ASSERT_TRUE((*other_bucket)->Put("late", "x").ok());
  EXPECT_TRUE(other_view.Becomes({{"late", "x"}}));
  EXPECT_THAT(view.entries(), IsEmpty());
}

}  // namespace
}  // namespace leasehold::jetstream
