#include "services/gateway/api/migration_asker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/events/migration_subject.h"
#include "common/status/error.h"
#include "common/status/grpc.h"
#include "services/gateway/api/asker_suite.h"

namespace leasehold::gateway {
namespace {

using ::testing::HasSubstr;

class MigrationAskerTest : public AskerSuite {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(AskerSuite::SetUp());
    asker_.emplace(*client_, *services_);
  }
  std::unique_ptr<jetstream::Responder> Answer(std::function<std::string(std::string_view)> handler) {
    return AskerSuite::Answer(MigrationSubject(*ServiceName::Parse("identity")), std::move(handler));
  }
  absl::StatusOr<v1::MigrationAnswer> Ask(std::string_view service = "identity") {
    v1::MigrationCall call;
    call.mutable_get()->set_id("identity.7");
    return asker_->Ask(service, call);
  }

  std::optional<MigrationAsker> asker_;
};

TEST_F(MigrationAskerTest, PassesCallsOnAndAnswersBack) {
  const auto responder = Answer([](std::string_view bytes) {
    v1::MigrationCall call;
    EXPECT_TRUE(call.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    v1::MigrationAnswer answer;
    answer.mutable_run()->set_id(call.get().id());
    return answer.SerializeAsString();
  });
  const auto answer = Ask("identity-service");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->run().id(), "identity.7");
}

TEST_F(MigrationAskerTest, AProvisionersErrorComesAsItIs) {
  const auto responder = Answer([](std::string_view) {
    v1::MigrationAnswer answer;
    answer.set_error(ToGrpc(Error(v1::REASON_OPERATION_NOT_FOUND, "there is no run identity.7")).error_details());
    return answer.SerializeAsString();
  });
  const absl::Status status = Ask().status();
  EXPECT_EQ(ReasonOf(status), v1::REASON_OPERATION_NOT_FOUND);
  EXPECT_EQ(status.message(), "there is no run identity.7");
}

TEST_F(MigrationAskerTest, AChangeHasOneIdForWhoeverIsAsked) {
  absl::Notification over;
  absl::Mutex mu;
  std::vector<std::string> ids;
  const auto note = [&](std::string_view bytes) {
    v1::MigrationCall call;
    EXPECT_TRUE(call.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    const absl::MutexLock lock(&mu);
    ids.push_back(call.id());
  };
  const auto still = Answer([&](std::string_view bytes) {
    note(bytes);
    over.WaitForNotification();
    return std::string();
  });
  const auto other = client_->Respond("migration.identity.all", "", [&](std::string_view bytes) {
    note(bytes);
    v1::MigrationAnswer answer;
    answer.mutable_run()->set_id("identity.7");
    return answer.SerializeAsString();
  });
  ASSERT_TRUE(other.ok()) << other.status();
  v1::MigrationCall call;
  call.mutable_cancel()->set_id("identity.7");
  const auto answer = asker_->Ask("identity", call);
  over.Notify();
  ASSERT_TRUE(answer.ok()) << answer.status();
  const absl::MutexLock lock(&mu);
  ASSERT_EQ(ids.size(), 2u);
  EXPECT_FALSE(ids[0].empty());
  EXPECT_EQ(ids[0], ids[1]);
}

TEST_F(MigrationAskerTest, AProvisionerThatStandsStillIsPassedOver) {
  absl::Notification over;
  const auto still = Answer([&over](std::string_view) {
    over.WaitForNotification();
    return std::string();
  });
  const auto other = client_->Respond("migration.identity.all", "", [](std::string_view) {
    v1::MigrationAnswer answer;
    answer.mutable_run()->set_id("identity.8");
    return answer.SerializeAsString();
  });
  ASSERT_TRUE(other.ok());
  const absl::Time begun = absl::Now();
  const auto answer = Ask();
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->run().id(), "identity.8");
  EXPECT_LT(absl::Now() - begun, absl::Seconds(9)) << "as long as one waits in all";
  over.Notify();
}

TEST_F(MigrationAskerTest, SaysWhoIsNotThere) {
  EXPECT_EQ(ReasonOf(Ask().status()), v1::REASON_INSTANCE_UNAVAILABLE);
  EXPECT_THAT(std::string(Ask().status().message()), HasSubstr("no provisioner of identity answers"));
  EXPECT_EQ(ReasonOf(Ask("nowhere").status()), v1::REASON_SERVICE_NOT_FOUND);
  const auto responder = Answer([](std::string_view) { return std::string("\xff\xff"); });
  EXPECT_EQ(ReasonOf(Ask().status()), v1::REASON_INTERNAL);
}

TEST(ServiceOf, IsWhatStandsBeforeTheNumber) {
  EXPECT_EQ(*MigrationAsker::ServiceOf("identity.7"), "identity");
  EXPECT_EQ(ReasonOf(MigrationAsker::ServiceOf("identity").status()), v1::REASON_OPERATION_NOT_FOUND);
  EXPECT_EQ(ReasonOf(MigrationAsker::ServiceOf("No Service.7").status()), v1::REASON_OPERATION_NOT_FOUND);
}

}  // namespace
}  // namespace leasehold::gateway
