// What cannot be understood is put where people find it, once.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/events/events.h"
#include "common/events/fake_message.h"
#include "common/status/error.h"
#include "common/status/view.h"

namespace leasehold::events {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A client that only remembers.
class FakeClient : public jetstream::Client {
 public:
  absl::StatusOr<std::string> Request(const std::string&, std::string_view, absl::Duration) override {
    return absl::UnimplementedError("unused");
  }
  absl::StatusOr<std::string> Request(const std::string&, std::string_view, absl::Duration,
                                      const jetstream::SecondTry&) override {
    return absl::UnimplementedError("unused");
  }
  absl::StatusOr<std::unique_ptr<jetstream::Responder>> Respond(const std::string&, const std::string&,
                                                                std::function<std::string(std::string_view)>) override {
    return absl::UnimplementedError("unused");
  }
  bool connected() const override { return true; }
  absl::Status EnsureStream(const jetstream::StreamOptions&) override { return absl::UnimplementedError("unused"); }
  absl::Status Publish(const std::string& subject, std::string_view payload, const jetstream::Headers& headers,
                       const std::string& message_id) override {
    published.push_back({subject, headers, std::string(payload), message_id});
    return answer;
  }
  absl::StatusOr<std::unique_ptr<jetstream::PullConsumer>> Subscribe(const jetstream::ConsumerOptions&) override {
    return absl::UnimplementedError("unused");
  }
  absl::StatusOr<uint64_t> Pending(const std::string&, const std::string&) override {
    return absl::UnimplementedError("unused");
  }
  absl::StatusOr<std::unique_ptr<jetstream::KeyValue>> OpenKeyValue(const jetstream::KeyValueOptions&,
                                                                    jetstream::KeyValueWatch) override {
    return absl::UnimplementedError("unused");
  }
  std::vector<Encoded> published;
  absl::Status answer;
};

TEST(ParkTest, ParksWithTheReasonAndTerminates) {
  FakeClient client;
  FakeMessage message("tenants.bad.created", std::string("not \0json\xff", 10) + std::string(100'000, 'x'));
  const absl::Status reason = DecodeTenantEvent(message.subject(), {}, message.payload()).status();
  ASSERT_TRUE(Park(client, "identity", "TENANTS", reason, message).ok());
  EXPECT_EQ(message.fate, "term");
  ASSERT_EQ(client.published.size(), 1u);
  const Encoded& published = client.published[0];
  EXPECT_EQ(published.subject, "provisioning.dead.identity");
  EXPECT_EQ(published.message_id, "parked/identity/TENANTS/7");
  v1::ParkedEvent parked;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(published.payload, &parked).ok()) << published.payload;
  EXPECT_EQ(parked.stream(), "TENANTS");
  EXPECT_EQ(parked.subject(), "tenants.bad.created");
  EXPECT_EQ(parked.sequence(), 7u);
  EXPECT_EQ(parked.reason(), StdView(reason.message()));
  EXPECT_EQ(parked.payload(), message.payload().substr(0, 64 * 1024));
  EXPECT_GT(parked.time().seconds(), 0);
}

TEST(ParkTest, ComesAgainIfItCannotBeParked) {
  FakeClient client;
  client.answer = Error(v1::REASON_NATS_UNAVAILABLE, "NATS does not answer");
  FakeMessage message("tenants.bad.created", "x");
  EXPECT_EQ(ReasonOf(Park(client, "identity", "TENANTS", absl::OkStatus(), message)), v1::REASON_NATS_UNAVAILABLE);
  EXPECT_EQ(message.fate, "nak");
}

TEST(ParkTest, WhatIsParkedIsNotParkedAgain) {
  FakeClient client;
  FakeMessage message("provisioning.dead.identity", "x");
  ASSERT_TRUE(Park(client, "registry", "PROVISIONING", absl::OkStatus(), message).ok());
  EXPECT_EQ(message.fate, "term");
  EXPECT_TRUE(client.published.empty());
}

TEST(ParkTest, TextThatIsNotForStrangersIsNotParked) {
  FakeClient client;
  FakeMessage message("tenants.bad.created", "x");
  ASSERT_TRUE(Park(client, "identity", "TENANTS", absl::InternalError("host 10.0.0.1"), message).ok());
  EXPECT_THAT(client.published[0].payload, Not(HasSubstr("10.0.0.1")));
}

}  // namespace
}  // namespace leasehold::events
