// Publishing, fetching and each way to answer a message.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "common/jetstream/natstest_fixture.h"

namespace leasehold::jetstream {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

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

TEST_F(JetStreamTest, TheTraceOfWhoPublishesGoesAlong) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  const Trace trace = NewTrace(true);
  const Trace other = NewTrace(false);
  {
    const TraceScope scope(trace);
    ASSERT_TRUE(Publish("tenants.a.created", "of the thread").ok());
    ASSERT_TRUE(client_->Publish("tenants.a.created", "its own", {{"traceparent", ToTraceparent(other)}}, "").ok());
  }
  ASSERT_TRUE(Publish("tenants.a.created", "of nobody").ok());
  auto consumer = Subscribe();
  const Messages messages = TakeEach(*consumer, 3);
  ASSERT_THAT(messages, SizeIs(3));
  EXPECT_THAT(messages[0]->headers(), Contains(Pair("traceparent", ToTraceparent(trace))));
  EXPECT_EQ(TraceOf(messages[0]->headers()), trace);
  EXPECT_EQ(TraceOf(messages[1]->headers()), other);
  EXPECT_FALSE(TraceOf(messages[2]->headers()));
}

TEST_F(JetStreamTest, EmptyPayloadAndBinaryPayloadArriveAsTheyAre) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  const std::string binary("\0\r\n\xff MSG", 8);
  ASSERT_TRUE(Publish("tenants.a.created", "").ok());
  ASSERT_TRUE(Publish("tenants.a.created", binary).ok());
  auto consumer = Subscribe();
  const Messages messages = TakeEach(*consumer, 2);
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

TEST_F(JetStreamTest, FetchReturnsNoMoreThanItWasAskedFor) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  auto consumer = Subscribe();
  EXPECT_THAT(TakeNow(*consumer), IsEmpty()) << "and its request for ten stays open";
  for (const char* payload : {"1", "2", "3"}) ASSERT_TRUE(Publish("tenants.a.created", payload).ok());
  std::vector<std::string> payloads;
  while (payloads.size() < 3) {
    const Messages one = Take(*consumer, 1);
    ASSERT_THAT(one, SizeIs(1));
    payloads.emplace_back(one[0]->payload());
    one[0]->Ack();
  }
  EXPECT_THAT(payloads, ElementsAre("1", "2", "3"));
}

TEST_F(JetStreamTest, AConsumerThatIsGoneTakesNothing) {
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  auto gone = Subscribe();
  auto other = Subscribe();
  EXPECT_THAT(TakeNow(*gone), IsEmpty()) << "and its request stays open";
  gone.reset();
  ASSERT_TRUE(Publish("tenants.a.created", "1").ok());
  Messages messages = Take(*other);
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(messages[0]->deliveries(), 1u);
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

TEST_F(JetStreamTest, TellsHowManyMessagesADurableHasStillToAcknowledge) {
  EXPECT_EQ(client_->Pending("TENANTS", "nobody").status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(client_->EnsureStream(TenantsStream(1)).ok());
  EXPECT_EQ(client_->Pending("TENANTS", "nobody").status().code(), absl::StatusCode::kNotFound);
  auto consumer = Subscribe({.durable = "slow"});
  const absl::Time begin = absl::Now();
  for (const char* payload : {"1", "2", "3"}) ASSERT_TRUE(Publish("tenants.a.created", payload).ok());
  EXPECT_EQ(*client_->Pending("TENANTS", "slow"), 3u) << "none is delivered";
  Messages messages = TakeEach(*consumer, 3);
  ASSERT_THAT(messages, SizeIs(3));
  EXPECT_GE(messages[0]->stored_time(), begin - absl::Milliseconds(1));
  EXPECT_LE(messages[0]->stored_time(), absl::Now());
  EXPECT_EQ(*client_->Pending("TENANTS", "slow"), 3u) << "none is acknowledged";
  messages[0]->Ack();
  messages[1]->Term();
  EXPECT_TRUE(Eventually([this] { return *client_->Pending("TENANTS", "slow") == 1u; }));
  server_->Kill();
  EXPECT_TRUE(Eventually(
      [this] { return ReasonOf(client_->Pending("TENANTS", "slow").status()) == v1::REASON_NATS_UNAVAILABLE; }));
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
  const Messages messages = TakeEach(*consumer, 2);
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

}  // namespace
}  // namespace leasehold::jetstream
