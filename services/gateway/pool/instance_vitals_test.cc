// What a pool knows of its instance's health, and what clients are told of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>

#include "absl/synchronization/notification.h"
#include "services/gateway/pool/pool_rig.h"

namespace leasehold::gateway {
namespace {

using testing::HasSubstr;

// What a pool says of its instance. Any thread.
class VitalsHeard {
 public:
  auto Recorder() {
    return [this](const absl::Status& status, std::optional<absl::Duration> took) {
      absl::MutexLock lock(&mu_);
      last_ = status.ok() ? "ok" : std::string(status.message());
      if (!status.ok()) ++failures_;
      took_ = took;
    };
  }
  // False: not in half a minute.
  bool Becomes(std::string_view part) {
    absl::MutexLock lock(&mu_);
    const auto says = [&] {
      mu_.AssertHeld();
      return last_.contains(part);
    };
    return mu_.AwaitWithTimeout(absl::Condition(&says), absl::Seconds(30));
  }
  std::string last() {
    absl::MutexLock lock(&mu_);
    return last_;
  }
  int failures() {
    absl::MutexLock lock(&mu_);
    return failures_;
  }
  std::optional<absl::Duration> took() {
    absl::MutexLock lock(&mu_);
    return took_;
  }

 private:
  absl::Mutex mu_;
  std::string last_ ABSL_GUARDED_BY(mu_) = "nothing yet";
  int failures_ ABSL_GUARDED_BY(mu_) = 0;
  std::optional<absl::Duration> took_ ABSL_GUARDED_BY(mu_);
};

class InstanceVitalsTest : public InstancePoolTest {};

TEST_F(InstanceVitalsTest, WhoIsNotAskedForAnythingIsAskedForASignOfLife) {
  VitalsHeard heard;
  InstanceOptions options = Options();
  options.health_check_interval = absl::Seconds(1);
  options.probe = {.database = "central", .role = "role", .database_id = "central", .tenant = ""};
  options.on_vitals = heard.Recorder();
  Rig rig(options);
  EXPECT_TRUE(heard.Becomes("ok"));
  EXPECT_GT(heard.took(), absl::ZeroDuration());
  postgres_.Refuse("central", "57P03");
  postgres_.HangUp();
  EXPECT_TRUE(heard.Becomes("the identity instance is starting or stopping"));
  EXPECT_EQ(rig.Report().up, false);
  postgres_.Refuse("central", std::nullopt);
  EXPECT_TRUE(heard.Becomes("ok"));
  EXPECT_EQ(rig.Report().up, true);
  EXPECT_LE(postgres_.most(), 1u);
}

// By itself never within a test, and with little patience then.
InstanceOptions SeldomAsked(InstanceOptions options, VitalsHeard& heard) {
  options.health_check_interval = absl::Hours(1);
  options.health_check_timeout = absl::Milliseconds(200);
  options.probe = {.database = "central", .role = "role", .database_id = "central", .tenant = ""};
  options.on_vitals = heard.Recorder();
  return options;
}

// False: nothing was told in half a minute.
bool AskVitals(Rig& rig) {
  absl::Notification told;
  rig.On([&] { rig.pool().AskVitals([&told] { told.Notify(); }); });
  return told.WaitForNotificationWithTimeout(absl::Seconds(30));
}

TEST_F(InstanceVitalsTest, WhoeverWantsToKnowHasItAskedAtOnce) {
  VitalsHeard heard;
  Rig rig(SeldomAsked(Options(), heard));
  ASSERT_TRUE(AskVitals(rig));
  EXPECT_EQ(heard.last(), "ok");
  postgres_.FallSilent();
  ASSERT_TRUE(AskVitals(rig));
  EXPECT_EQ(heard.failures(), 1);
}

TEST_F(InstanceVitalsTest, WithAllOfTheCapAtWorkItIsAskedWithoutALogIn) {
  VitalsHeard heard;
  Rig rig(SeldomAsked(WithCap(1), heard));
  Client client(rig);
  ASSERT_EQ(client.Ask("acme").Outcome(), "served");
  ASSERT_TRUE(AskVitals(rig));
  EXPECT_EQ(heard.last(), "ok");
  EXPECT_EQ(postgres_.tls_refusals(), 1) << "that was the question";
  postgres_.FallSilent();
  ASSERT_TRUE(AskVitals(rig));
  EXPECT_THAT(heard.last(), HasSubstr("the identity instance does not answer"));
  EXPECT_EQ(rig.Report().up, false);
  EXPECT_EQ(postgres_.most(), 1u) << "the cap holds";
}

TEST_F(InstanceVitalsTest, WhileSomebodyWaitsForItItIsAskedSooner) {
  VitalsHeard heard;
  Rig rig(SeldomAsked(Options(), heard));
  Client client(rig);
  ASSERT_EQ(client.Ask("acme").Outcome(), "served");
  EXPECT_TRUE(heard.Becomes("ok"));
  postgres_.FallSilent();
  EXPECT_TRUE(heard.Becomes("the identity instance does not answer"));
}

TEST_F(InstanceVitalsTest, ClientsThatWaitForLongAreToldOfUntilTheyDoNot) {
  VitalsHeard heard;
  InstanceOptions options = WithCap(1);
  options.connection_timeout = absl::Seconds(20);
  options.on_waits = [record = heard.Recorder()](const absl::Status& status) { record(status, std::nullopt); };
  Rig rig(std::move(options));
  Client holder(rig), other(rig);
  ASSERT_EQ(holder.Ask("acme").Outcome(), "served");
  other.Ask("globex");
  EXPECT_TRUE(heard.Becomes("waited for a server connection for longer than 5s: all 1 are taken"));
  holder.Release();
  EXPECT_EQ(other.Outcome(), "served");
  EXPECT_TRUE(heard.Becomes("ok"));
}

TEST_F(InstanceVitalsTest, WhoComesAfterAWholeTimeOutOfFailureIsToldAtOnce) {
  InstanceOptions options = Options();
  options.connection_timeout = absl::Milliseconds(300);
  Rig rig(options);
  postgres_.Refuse("acme", "57P03");
  postgres_.Refuse("globex", "57P03");
  EXPECT_THAT(Use(rig, "acme"), HasSubstr("is starting or stopping (waited 300ms)"));
  // The time-out counts from the first log-in that failed, which was a little after the first client came.
  std::string told;
  do {
    told = Use(rig, "acme");
  } while (told.contains("(waited 300ms)"));
  EXPECT_THAT(told, HasSubstr("is starting or stopping (it is tried again every second)"));
  EXPECT_THAT(Use(rig, "globex"), HasSubstr("is starting or stopping (it is tried again every second)"));
  postgres_.Refuse("acme", std::nullopt);
  while (Use(rig, "acme") != "served") {
  }
  EXPECT_THAT(rig.Exposed(), testing::Not(HasSubstr("Inf\n"))) << "who came in vain has not waited";
  EXPECT_EQ(rig.Report().up, true);
}

}  // namespace
}  // namespace leasehold::gateway
