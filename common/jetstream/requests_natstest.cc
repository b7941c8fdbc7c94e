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

TEST_F(RequestsTest, TheTraceOfWhoAsksGoesAlong) {
  const auto responder =
      client_->Respond("ask.me", "q", [](std::string_view) { return ToTraceparent(CurrentTrace()); });
  ASSERT_TRUE(responder.ok()) << responder.status();
  const SecondTry second{.subject = "ask.all", .after = absl::Seconds(60)};
  const Trace trace = NewTrace(true);
  {
    const TraceScope scope(trace);
    EXPECT_EQ(*client_->Request("ask.me", "", absl::Seconds(10)), ToTraceparent(trace));
    EXPECT_EQ(*client_->Request("ask.me", "", absl::Seconds(10), second), ToTraceparent(trace));
  }
  EXPECT_EQ(*client_->Request("ask.me", "", absl::Seconds(10)), "");
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

TEST_F(RequestsTest, WhoStandsStillIsPassedOver) {
  absl::Notification over;
  std::atomic<int> asked = 0;
  const auto still = client_->Respond("ask.me", "q", [&over, &asked](std::string_view) {
    ++asked;
    over.WaitForNotification();
    return std::string("late");
  });
  const auto one =
      client_->Respond("ask.all", "", [](std::string_view request) { return "one " + std::string(request); });
  ASSERT_TRUE(still.ok() && one.ok());
  const SecondTry second{.subject = "ask.all", .after = absl::Milliseconds(100)};
  EXPECT_EQ(*client_->Request("ask.me", "why", absl::Seconds(60), second), "one why");
  EXPECT_EQ(asked, 1);
  over.Notify();
  // Its answer has come to nobody: each request has an inbox of its own.
  EXPECT_EQ(*client_->Request("ask.me", "", absl::Seconds(60), {.subject = "ask.all", .after = absl::Seconds(60)}),
            "late");
}

TEST_F(RequestsTest, TheSlowAnswerOfTheFirstCountsToo) {
  absl::Notification asked_again;
  absl::Notification over;
  const auto slow = client_->Respond("ask.me", "q", [&asked_again](std::string_view) {
    asked_again.WaitForNotification();
    return std::string("slow");
  });
  const auto silent = client_->Respond("ask.all", "", [&asked_again, &over](std::string_view) {
    asked_again.Notify();
    over.WaitForNotification();
    return std::string("too late");
  });
  ASSERT_TRUE(slow.ok() && silent.ok());
  const auto answer =
      client_->Request("ask.me", "", absl::Seconds(60), {.subject = "ask.all", .after = absl::Milliseconds(20)});
  over.Notify();
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(*answer, "slow");
}

TEST_F(RequestsTest, EachWithoutAQueueIsAsked) {
  std::atomic<int> asked = 0;
  const auto handler = [&asked](std::string_view) { return std::to_string(++asked); };
  const auto first = client_->Respond("ask.all", "", handler);
  const auto second = client_->Respond("ask.all", "", handler);
  ASSERT_TRUE(first.ok() && second.ok());
  ASSERT_TRUE(client_->Request("ask.all", "", absl::Seconds(10)).ok());
  EXPECT_TRUE(Eventually([&] { return asked == 2; }));
}

TEST_F(RequestsTest, WithASecondSubjectNobodyThereIsSaidAtOnceToo) {
  const SecondTry second{.subject = "ask.none", .after = absl::Seconds(60)};
  EXPECT_THAT(std::string(client_->Request("ask.nobody", "x", absl::Seconds(60), second).status().message()),
              HasSubstr("nobody listens on ask.nobody"));
  EXPECT_EQ(ReasonOf(client_->Request("ask.me", "x", absl::Seconds(1), {.subject = "a b"}).status()),
            v1::REASON_INVALID_FIELD);
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
