#include "common/events/intake_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/events/fake_message.h"

namespace leasehold::events {
namespace {

using ::testing::HasSubstr;

TEST(IntakeMetrics, CountsWhatComesAgainAndMeasuresWhatIsDealtWith) {
  Metrics metrics;
  IntakeMetrics intake(metrics, "TENANTS");
  EXPECT_THAT(metrics.Expose(), HasSubstr("leasehold_events_redelivered_total{stream=\"TENANTS\"} 0\n"));
  FakeMessage message("tenants.acme.created", "{}");
  message.stored = absl::UnixEpoch() + absl::Hours(1);
  intake.Postponed(message);
  message.times_delivered = 2;
  intake.Postponed(message);
  message.times_delivered = 3;
  intake.Settled(message, message.stored + absl::Seconds(4));
  const std::string text = metrics.Expose();
  EXPECT_THAT(text, HasSubstr("leasehold_events_redelivered_total{stream=\"TENANTS\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("leasehold_event_lag_seconds_count{stream=\"TENANTS\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("leasehold_event_lag_seconds_sum{stream=\"TENANTS\"} 4\n"));
}

TEST(IntakeMetrics, AClockThatIsBehindTheServersMakesNoLagNegative) {
  Metrics metrics;
  IntakeMetrics intake(metrics, "TENANTS");
  FakeMessage message("tenants.acme.created", "{}");
  intake.Settled(message, message.stored - absl::Seconds(1));
  EXPECT_THAT(metrics.Expose(), HasSubstr("leasehold_event_lag_seconds_sum{stream=\"TENANTS\"} 0\n"));
}

}  // namespace
}  // namespace leasehold::events
