#include "common/daemon/daemon_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <format>
#include <string>

#include "absl/time/clock.h"
#include "common/version/version.h"

namespace leasehold {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Of a series without labels; -1 if there is none.
double ValueOf(const std::string& text, const std::string& series) {
  const size_t at = text.find(std::format("\n{} ", series));
  return at == std::string::npos ? -1 : std::stod(text.substr(at + series.size() + 2));
}

TEST(DaemonMetrics, TellHowWhatItStandsOnIs) {
  const FakeClock clock;
  Health health(clock);
  Metrics metrics;
  Metrics::Handle handle = AddDaemonMetrics(health, metrics);
  health.Require("nats");
  health.Expect("instance/core");
  EXPECT_THAT(metrics.Expose(), AllOf(HasSubstr("leasehold_ready 0\n"), Not(HasSubstr("component=\"nats\""))));
  health.Set("nats", absl::OkStatus());
  health.Set("instance/core", absl::UnavailableError("away"));
  EXPECT_THAT(metrics.Expose(),
              AllOf(HasSubstr("leasehold_ready 1\n"), HasSubstr("leasehold_component_up{component=\"nats\"} 1\n"),
                    HasSubstr("leasehold_component_up{component=\"instance/core\"} 0\n")));
  handle.reset();
  EXPECT_THAT(metrics.Expose(), Not(HasSubstr("leasehold_ready")));
}

TEST(DaemonMetrics, TellOfTheBuildAndTheProcess) {
  const FakeClock clock;
  const Health health(clock);
  Metrics metrics;
  const Metrics::Handle handle = AddDaemonMetrics(health, metrics);
  const std::string text = metrics.Expose();
  EXPECT_THAT(text, HasSubstr(std::format("leasehold_build_info{{version=\"{}\"", Version())));
  // It began within the last hour, has some memory and the standard streams, and has used processor time.
  EXPECT_LT(ValueOf(text, "process_start_time_seconds"), absl::ToUnixSeconds(absl::Now()) + 1);
  EXPECT_GT(ValueOf(text, "process_start_time_seconds"), absl::ToUnixSeconds(absl::Now()) - 3600);
  EXPECT_GT(ValueOf(text, "process_resident_memory_bytes"), 1 << 20);
  EXPECT_GT(ValueOf(text, "process_cpu_seconds_total"), 0);
  const double open = ValueOf(text, "process_open_fds");
  EXPECT_GE(open, 3);
  EXPECT_GT(ValueOf(text, "process_max_fds"), open);
  const int more = dup(STDERR_FILENO);
  EXPECT_EQ(ValueOf(metrics.Expose(), "process_open_fds"), open + 1);
  close(more);
}

}  // namespace
}  // namespace leasehold
