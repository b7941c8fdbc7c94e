#include "common/daemon/readiness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/clock/clock.h"
#include "common/daemon/daemon.h"
#include "common/localserver/localserver.h"

namespace leasehold {
namespace {

using ::testing::HasSubstr;

TEST(FailingComponents, NamesWhatIsNotOk) {
  EXPECT_EQ(FailingComponents(R"({"status":"failing","components":{"nats":{"status":"ok"},
              "registry":{"status":"failing","error":"no connection"},"sql":{"status":"failing"}}})"),
            "registry: no connection, sql: not ready yet");
  EXPECT_EQ(FailingComponents("not json"), "");
  EXPECT_EQ(FailingComponents("{}"), "");
}

TEST(CheckReady, SaysWhatIsMissingUntilNothingIs) {
  const FakeClock clock(absl::FromUnixSeconds(1'800'000'000));
  const Metrics metrics;
  Health health(clock);
  health.Require("nats");
  const int port = localserver::FreePort();
  const absl::Status nobody = CheckReady({"127.0.0.1", port});
  EXPECT_EQ(nobody.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(nobody.message()), HasSubstr("/readyz"));

  HttpEndpoint endpoint(health, metrics);
  ASSERT_TRUE(endpoint.Start({"0.0.0.0", port}).ok());
  const absl::Status missing = CheckReady({"0.0.0.0", port});
  EXPECT_EQ(missing.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("nats"));

  health.Set("nats", absl::OkStatus());
  EXPECT_TRUE(CheckReady({"0.0.0.0", port}).ok()) << "a wildcard is asked on this machine";
}

}  // namespace
}  // namespace leasehold
