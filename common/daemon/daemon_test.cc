#include "common/daemon/daemon.h"

#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include "absl/time/clock.h"
#include "common/localserver/localserver.h"
#include "common/status/error.h"

namespace leasehold {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(SignalWaiter, ReturnsTheSignalOrZeroWhenWoken) {
  SignalWaiter waiter;
  kill(getpid(), SIGTERM);
  EXPECT_EQ(waiter.Wait(), SIGTERM);
  kill(getpid(), SIGINT);
  EXPECT_EQ(waiter.Wait(), SIGINT);
  std::thread waker([&waiter] { waiter.Wake(); });
  EXPECT_EQ(waiter.Wait(), 0);
  waker.join();
}

TEST(SignalWaiter, ThreadsMadeAfterItDoNotTakeTheSignal) {
  SignalWaiter waiter;
  std::thread other([] { kill(getpid(), SIGTERM); });
  EXPECT_EQ(waiter.Wait(), SIGTERM);
  other.join();
}

google::protobuf::Struct Parsed(const std::string& json) {
  google::protobuf::Struct parsed;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, &parsed).ok()) << json;
  return parsed;
}

const google::protobuf::Struct& Component(const google::protobuf::Struct& health, const std::string& name) {
  return health.fields().at("components").struct_value().fields().at(name).struct_value();
}

TEST(Health, IsReadyWhenAllThatIsRequiredIsWell) {
  FakeClock clock(absl::FromUnixSeconds(1'800'000'000));
  Health health(clock);
  EXPECT_TRUE(health.Ready());
  health.Require("registry");
  EXPECT_FALSE(health.Ready()) << "unknown is not ready";
  EXPECT_EQ(Component(Parsed(health.Json()), "registry").fields().at("status").string_value(), "unknown");
  health.Set("registry", absl::OkStatus());
  health.Expect("instance/core");
  EXPECT_EQ(Component(Parsed(health.Json()), "instance/core").fields().at("status").string_value(), "unknown");
  EXPECT_TRUE(health.Ready());
  health.Set("instance/core", absl::UnavailableError("down"));
  EXPECT_TRUE(health.Ready()) << "not required";
  health.Set("registry", Error(v1::REASON_REGISTRY_UNAVAILABLE, "the registry does not answer"));
  EXPECT_FALSE(health.Ready());
}

TEST(Health, TellsSinceWhenAndOnlyWhatStrangersMayRead) {
  FakeClock clock(absl::FromUnixSeconds(1'800'000'000));
  Health health(clock);
  health.Require("nats");
  health.Set("nats", Error(v1::REASON_NATS_UNAVAILABLE, "NATS \"x\" does not answer"));
  clock.Advance(absl::Seconds(5));
  health.Set("nats", Error(v1::REASON_NATS_UNAVAILABLE, "still \"nothing\""));
  health.Set("instance/core", absl::InternalError("FATAL: role \"secret_role\""));
  const google::protobuf::Struct json = Parsed(health.Json());
  EXPECT_EQ(json.fields().at("status").string_value(), "failing");
  const auto& nats = Component(json, "nats").fields();
  EXPECT_EQ(nats.at("status").string_value(), "failing");
  EXPECT_EQ(nats.at("since").string_value(), "2027-01-15T08:00:00.000Z")
      << "it has been failing since the first report";
  EXPECT_EQ(nats.at("error").string_value(), "still \"nothing\"");
  EXPECT_EQ(Component(json, "instance/core").fields().at("error").string_value(), "internal error");
  EXPECT_THAT(health.Json(), Not(HasSubstr("secret_role")));
}

TEST(Health, RemembersTheLastErrorAndTheLastLatency) {
  FakeClock clock(absl::FromUnixSeconds(1'800'000'000));
  Health health(clock);
  health.Set("instance/core", absl::OkStatus(), absl::Microseconds(1250));
  const auto core = [&health] { return Component(Parsed(health.Json()), "instance/core").fields(); };
  EXPECT_EQ(core().at("latency_ms").number_value(), 1.25);
  EXPECT_FALSE(core().contains("last_error"));
  health.Set("instance/core", Error(v1::REASON_INSTANCE_UNAVAILABLE, "the core instance does not answer"));
  EXPECT_EQ(core().at("latency_ms").number_value(), 1.25) << "of the last answer";
  EXPECT_FALSE(core().contains("last_error")) << "it is the present one";
  clock.Advance(absl::Seconds(5));
  health.Set("instance/core", absl::OkStatus(), absl::Milliseconds(2));
  EXPECT_EQ(core().at("status").string_value(), "ok");
  EXPECT_EQ(core().at("since").string_value(), "2027-01-15T08:00:05.000Z");
  EXPECT_EQ(core().at("latency_ms").number_value(), 2);
  EXPECT_EQ(core().at("last_error").string_value(), "the core instance does not answer");
  EXPECT_EQ(core().at("last_error_time").string_value(), "2027-01-15T08:00:00.000Z");
}

}  // namespace
}  // namespace leasehold
