#include "services/gateway/api/migration_watch.h"

#include <gtest/gtest.h>

#include "common/config/config.h"

namespace leasehold::gateway {
namespace {

constexpr int kManyLooks = 1000;

// After a second in which `done` of `total` databases have come to an end.
v1::MigrationRun RunOf(int done, int total) {
  v1::MigrationRun run;
  const absl::Time began = absl::FromUnixSeconds(1'800'000'000);
  *run.mutable_create_time() = FromTime(began);
  *run.mutable_update_time() = FromTime(began + absl::Seconds(1));
  run.set_total(total);
  run.set_done(done);
  return run;
}

TEST(PauseBeforeLook, IsShortAtTheBeginningAndGrows) {
  EXPECT_EQ(PauseBeforeLook(RunOf(0, 0), 1), absl::Milliseconds(20));
  EXPECT_EQ(PauseBeforeLook(RunOf(0, 300), 10), absl::Milliseconds(50));
  EXPECT_EQ(PauseBeforeLook(RunOf(0, 300), kManyLooks), absl::Milliseconds(100));
}

TEST(PauseBeforeLook, IsShortTowardsTheEndThatThePaceLetsExpect) {
  EXPECT_EQ(PauseBeforeLook(RunOf(100, 300), kManyLooks), absl::Milliseconds(100)) << "two seconds are left";
  EXPECT_EQ(PauseBeforeLook(RunOf(100, 110), kManyLooks), absl::Milliseconds(50)) << "a tenth of one is left";
  EXPECT_EQ(PauseBeforeLook(RunOf(100, 101), kManyLooks), absl::Milliseconds(20));
  EXPECT_EQ(PauseBeforeLook(RunOf(100, 100), kManyLooks), absl::Milliseconds(20)) << "only the end has to be recorded";
  v1::MigrationRun run = RunOf(0, 100);
  run.set_failed(50);
  run.set_skipped(49);
  EXPECT_EQ(PauseBeforeLook(run, kManyLooks), absl::Milliseconds(20)) << "these have ended too";
  *run.mutable_update_time() = run.create_time();
  EXPECT_EQ(PauseBeforeLook(run, kManyLooks), absl::Milliseconds(20)) << "and a clock that stands still";
}

}  // namespace
}  // namespace leasehold::gateway
