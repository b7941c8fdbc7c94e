#include "common/telemetry/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace leasehold {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Metrics, SameNameAndLabelsAreTheSameObject) {
  Metrics metrics;
  auto& ready = metrics.Counter("leasehold_events_total", "Events seen.", {{"what", "created"}});
  EXPECT_EQ(&ready, &metrics.Counter("leasehold_events_total", "Events seen.", {{"what", "created"}}));
  EXPECT_NE(&ready, &metrics.Counter("leasehold_events_total", "Events seen.", {{"what", "deleted"}}));
  EXPECT_EQ(&metrics.Gauge("leasehold_sessions", "Open sessions."),
            &metrics.Gauge("leasehold_sessions", "Open sessions."));
  EXPECT_EQ(&metrics.Seconds("leasehold_query_seconds", "Time."), &metrics.Seconds("leasehold_query_seconds", "Time."));
}

TEST(Metrics, ExposesThemAsText) {
  Metrics metrics;
  metrics.Counter("leasehold_events_total", "Events seen.", {{"what", "created"}}).Increment(3);
  metrics.Gauge("leasehold_sessions", "Open sessions.").Set(7);
  metrics.Seconds("leasehold_query_seconds", "Time.").Observe(0.0003);
  const std::string text = metrics.Expose();
  EXPECT_THAT(text, HasSubstr("# HELP leasehold_events_total Events seen.\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE leasehold_events_total counter\n"));
  EXPECT_THAT(text, HasSubstr("leasehold_events_total{what=\"created\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("leasehold_sessions 7\n"));
  EXPECT_THAT(text, HasSubstr("leasehold_query_seconds_bucket{le=\"0.00025\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("leasehold_query_seconds_bucket{le=\"0.0005\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("leasehold_query_seconds_bucket{le=\"60\"} 1\n"));
}

TEST(Metrics, ASourceIsAskedEachTimeUntilItIsGone) {
  Metrics metrics;
  metrics.Counter("leasehold_events_total", "Events seen.").Increment();
  int asked = 0;
  Metrics::Handle handle = metrics.AddSource([&asked] {
    prometheus::MetricFamily family{
        .name = "leasehold_asked", .help = "How often.", .type = prometheus::MetricType::Gauge, .metric = {}};
    family.metric.emplace_back().gauge.value = ++asked;
    return std::vector{std::move(family)};
  });
  EXPECT_THAT(metrics.Expose(), HasSubstr("# TYPE leasehold_asked gauge\nleasehold_asked 1\n"));
  EXPECT_THAT(metrics.Expose(), AllOf(HasSubstr("leasehold_asked 2\n"), HasSubstr("leasehold_events_total 1\n")));
  handle.reset();
  EXPECT_THAT(metrics.Expose(), Not(HasSubstr("leasehold_asked")));
  EXPECT_EQ(asked, 2);
}

TEST(Metrics, TwoSetsAreApart) {
  Metrics a;
  Metrics b;
  a.Counter("leasehold_events_total", "Events seen.").Increment();
  EXPECT_EQ(b.Counter("leasehold_events_total", "Events seen.").Value(), 0);
}

}  // namespace
}  // namespace leasehold
