#include <atomic>

#include <gmock/gmock.h>

#include "absl/synchronization/notification.h"
#include "common/jetstream/natstest_fixture.h"

namespace leasehold::jetstream {
namespace {

using ::testing::HasSubstr;

class RequestsTest : public JetStreamTest {};

TEST_F(RequestsTest, IsAnsweredByWhoeverResponds) {
  const auto responder = client_->Respond(
      "ask.me", "q", [](std::string_view request) { return std::string(request) + std::string("\0!", 2); });
  ASSERT_TRUE(responder.ok()) << responder.status();
  EXPECT_EQ(*client_->Request("ask.me", "why", absl::Seconds(10)), std::string("why\0!", 5));
  EXPECT_EQ(*client_->Request("ask.me", "", absl::Seconds(10)), std::string("\0!", 2));
}

TEST_F(RequestsTest, OneOfAQueueAnswers) {
  std::atomic<int> asked = 0;
  const auto handler = [&asked](std::string_view) { return std::to_string(++asked); };
  const auto first = client_->Respond("ask.me", "q", handler);
  const auto second = client_->Respond("ask.me", "q", handler);
  ASSERT_TRUE(first.ok() && second.ok());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(client_->Request("ask.me", "", absl::Seconds(10)).ok());
  EXPECT_EQ(asked, 20);
}

TEST_F(RequestsTest, NobodyThereIsSaidAtOnceAndSilenceInTime) {
  const absl::Status nobody = client_->Request("ask.nobody", "x", absl::Seconds(60)).status();
  EXPECT_EQ(ReasonOf(nobody), v1::REASON_NATS_UNAVAILABLE);
  EXPECT_THAT(std::string(nobody.message()), HasSubstr("nobody listens on ask.nobody"));
  absl::Notification over;
  const auto silent = client_->Respond("ask.me", "q", [&over](std::string_view) {
    over.WaitForNotification();
    return std::string();
  });
  ASSERT_TRUE(silent.ok());
  EXPECT_EQ(ReasonOf(client_->Request("ask.me", "x", absl::Milliseconds(50)).status()), v1::REASON_NATS_UNAVAILABLE);
  over.Notify();
  EXPECT_EQ(ReasonOf(client_->Request("a b", "x", absl::Seconds(1)).status()), v1::REASON_INVALID_FIELD);
}

TEST_F(RequestsTest, AnEndedResponderIsNotRunAgain) {
  std::atomic<int> asked = 0;
  auto responder = client_->Respond("ask.me", "q", [&asked](std::string_view) { return std::to_string(++asked); });
  ASSERT_TRUE(responder.ok());
  ASSERT_TRUE(client_->Request("ask.me", "", absl::Seconds(10)).ok());
  responder->reset();
  EXPECT_FALSE(client_->Request("ask.me", "", absl::Milliseconds(200)).ok());
  EXPECT_EQ(asked, 1);
}

TEST_F(RequestsTest, RespondsAgainWhenTheServerIsBack) {
  const auto responder = client_->Respond("ask.me", "q", [](std::string_view) { return std::string("here"); });
  ASSERT_TRUE(responder.ok());
  server_->Kill();
  ASSERT_TRUE(server_->Restart().ok());
  EXPECT_TRUE(Eventually([&] { return client_->Request("ask.me", "", absl::Seconds(1)).ok(); }));
}

}  // namespace
}  // namespace leasehold::jetstream
