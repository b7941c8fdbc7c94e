// A disk that fills up in the middle of a run: the databases that it meets fail as a whole, and are retried when there
// is room.
#include <cstring>

#include "services/provisioner/rollout/rollout_fixture.h"
#include "services/provisioner/testing/small_disk.h"

namespace leasehold::provisioner {
namespace {

// More than is left, and less than the ballast.
constexpr std::string_view kLarge =
    "ALTER TABLE person ADD born int;\n"
    "CREATE TABLE large AS SELECT repeat(md5(i::text), 30) AS text FROM generate_series(1, 30000) i;";
constexpr size_t kLeft = 8 << 20;

class DiskFullTest : public RolloutFixture {
 protected:
  // The central database is on that disk too: a run that could not note something is taken up again, as the thread
  // would.
  void WorkThrough(const std::string& id) {
    for (int i = 0; i < 100 && Get(id).state() == v1::MIGRATION_RUN_STATE_RUNNING; ++i) {
      (void)rollout_->WorkOne();
    }
  }
};

TEST_F(DiskFullTest, WhatItMeetsFailsAsAWholeAndIsRetriedWhenThereIsRoom) {
  SmallDisk disk(*test_);
  AddTenants(3);
  test_->server().Stop();
  if (const int error = disk.Mount("200m"); error != 0) {
    GTEST_SKIP() << "this process may not mount a small file system: " << strerror(error);
  }
  ASSERT_EQ(test_->server().Restart(), absl::OkStatus());
  Restart({{"0001_a.sql", kFirst}, {"0002_b.sql", kLarge}});
  disk.Fill(kLeft);
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_APPLY);
  spec.set_failure_budget(10);
  spec.set_parallelism(1);
  const std::string id = Begin(spec).id();
  WorkThrough(id);
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_FAILED) << Get(id).DebugString();
  EXPECT_EQ(Get(id).failed(), 3);
  const v1::MigrationFailure failure = TaskOf(id, "t02").failure();
  EXPECT_EQ(failure.sqlstate(), "53100") << failure.DebugString();
  EXPECT_EQ(failure.statement(), 2);
  EXPECT_EQ(CountMigrated(3), 0) << "all of the file or nothing";

  disk.Clear();
  v1::ResumeMigrationRunRequest retry;
  retry.set_id(id);
  retry.set_failed(true);
  ASSERT_TRUE(calls_->Resume(retry).ok());
  WorkThrough(id);
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << Get(id).DebugString();
  EXPECT_EQ(CountMigrated(3), 3);
  for (const char* tenant : {"t01", "t02", "t03"}) EXPECT_EQ(In(tenant, "SELECT count(*) FROM large"), "30000");
  test_->server().Stop();
}

}  // namespace
}  // namespace leasehold::provisioner
