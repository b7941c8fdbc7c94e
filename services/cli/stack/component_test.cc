#include "services/cli/stack/component.h"

#include <gmock/gmock.h>

#include <fstream>

#include "common/localserver/localserver.h"
#include "common/status/view.h"

namespace leasehold::stack {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

std::string WhyNot(const std::string& log, const std::string& script) {
  DaemonComponent daemon({.name = "daemon",
                          .address = "127.0.0.1:1",
                          .argv = {"sh", "-c", script},
                          .environment = {},
                          .log_path = log,
                          .http = {.host = "127.0.0.1", .port = 1}});
  const absl::Status started = daemon.Start(false);
  EXPECT_EQ(started.code(), absl::StatusCode::kFailedPrecondition);
  return std::string(StdView(started.message()));
}

// Its log goes on from run to run.
TEST(DaemonComponent, ShowsWhatItSaidThisTime) {
  const localserver::TemporaryDirectory folder;
  const std::string log = folder.path() + "/daemon.log";
  EXPECT_THAT(WhyNot(log, "echo the first run; exit 3"), EndsWith("ends with:\n  | the first run"));
  const std::string second = WhyNot(log, "echo the second; exit 3");
  EXPECT_THAT(second, HasSubstr("it ended at start (exit status 3)"));
  EXPECT_THAT(second, EndsWith("ends with:\n  | the second"));
  EXPECT_THAT(WhyNot(log, "exit 3"), EndsWith("(exit status 3) without a word"));
  EXPECT_THAT(WhyNot(log, "seq 100; exit 3"), EndsWith("ends with:\n  | 93\n  | 94\n  | 95\n  | 96\n  | 97\n  | 98"
                                                       "\n  | 99\n  | 100"));
}

}  // namespace
}  // namespace leasehold::stack
