#include "services/gateway/api/instance_asker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "absl/synchronization/notification.h"
#include "common/status/error.h"
#include "services/gateway/api/asker_suite.h"

namespace leasehold::gateway {
namespace {

using ::testing::HasSubstr;

class InstanceAskerTest : public AskerSuite {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(AskerSuite::SetUp());
    asker_.emplace(*client_, *services_);
  }
  std::unique_ptr<jetstream::Responder> Answer(const std::string& subject, const std::string& version) {
    return AskerSuite::Answer(subject, [version](std::string_view) {
      v1::InstanceAnswer answer;
      answer.mutable_status()->set_version(version);
      return answer.SerializeAsString();
    });
  }
  InstanceAsker::Answers AskAll(absl::Duration patience = absl::Seconds(10)) {
    v1::InstanceCall call;
    call.mutable_status();
    InstanceAsker::Answers all;
    absl::Notification answered;
    EXPECT_TRUE(asker_->AskAll({"core", "identity"}, call, patience, [&](InstanceAsker::Answers answers) {
      all = std::move(answers);
      answered.Notify();
    }));
    answered.WaitForNotification();
    return all;
  }

  std::optional<InstanceAsker> asker_;
};

TEST_F(InstanceAskerTest, EachServicesAnswerStandsInItsPlace) {
  const auto core = Answer("instance.core", "1");
  const auto identity = Answer("instance.identity", "2");
  const InstanceAsker::Answers answers = AskAll();
  ASSERT_EQ(answers.size(), 2u);
  ASSERT_TRUE(answers[0].ok()) << answers[0].status();
  ASSERT_TRUE(answers[1].ok()) << answers[1].status();
  EXPECT_EQ(answers[0]->status().version(), "1");
  EXPECT_EQ(answers[1]->status().version(), "2");
}

TEST_F(InstanceAskerTest, AServiceWithoutAProvisionerHoldsNobodyUp) {
  const auto identity = Answer("instance.identity", "2");
  const InstanceAsker::Answers answers = AskAll();
  EXPECT_EQ(ReasonOf(answers[0].status()), v1::REASON_INSTANCE_UNAVAILABLE);
  EXPECT_THAT(std::string(answers[0].status().message()), HasSubstr("no provisioner of core answers"));
  ASSERT_TRUE(answers[1].ok()) << answers[1].status();
}

TEST_F(InstanceAskerTest, AProvisionerThatStandsStillIsPassedOver) {
  absl::Notification over;
  const auto still = AskerSuite::Answer("instance.core", [&over](std::string_view) {
    over.WaitForNotification();
    return std::string();
  });
  const auto other = Answer("instance.core.all", "3");
  const auto identity = Answer("instance.identity", "2");
  const InstanceAsker::Answers answers = AskAll(absl::Seconds(4));
  ASSERT_TRUE(answers[0].ok()) << answers[0].status();
  EXPECT_EQ(answers[0]->status().version(), "3");
  over.Notify();
}

TEST_F(InstanceAskerTest, RefusesAServiceThatThereIsNot) {
  EXPECT_EQ(ReasonOf(asker_->Ask("nowhere", {}, absl::Seconds(1)).status()), v1::REASON_SERVICE_NOT_FOUND);
}

}  // namespace
}  // namespace leasehold::gateway
