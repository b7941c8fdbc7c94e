#include "common/daemon/serving.h"

#include <gtest/gtest.h>

#include "common/clock/clock.h"

namespace leasehold {
namespace {

TEST(Serving, FromTheFirstTimeItWasReadyUntilItEnds) {
  FakeClock clock(absl::FromUnixSeconds(1'800'000'000));
  Health health(clock);
  health.Require("nats");
  Serving serving(health);
  EXPECT_FALSE(serving.Now()) << "what was never ready is not sent clients";
  health.Set("nats", absl::OkStatus());
  EXPECT_TRUE(serving.Now());
  health.Set("nats", absl::UnavailableError("not connected"));
  EXPECT_FALSE(health.Ready());
  EXPECT_TRUE(serving.Now()) << "its replicas are without it too";
  serving.End();
  EXPECT_FALSE(serving.Now());
  health.Set("nats", absl::OkStatus());
  EXPECT_FALSE(serving.Now());
}

}  // namespace
}  // namespace leasehold
