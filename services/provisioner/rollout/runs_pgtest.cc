// Runs that are over: how long they are remembered.
#include "services/provisioner/rollout/rollout_fixture.h"

namespace leasehold::provisioner {
namespace {

class RunsTest : public RolloutFixture {
 protected:
  // Runs that ended so long ago, each with a database.
  void AddRuns(int number, std::string_view ago) {
    ASSERT_EQ(
        Central(std::format(
            "WITH made AS (INSERT INTO leasehold.runs (kind, spec, files, state, phase, create_time, update_time, "
            "end_time) SELECT 'MIGRATION_KIND_APPLY', '', '', 'succeeded', 'ended', t, t, t FROM "
            "(SELECT now() - interval '{}' AS t) ended, generate_series(1, {}) RETURNING id) "
            "INSERT INTO leasehold.run_tasks (run, database_id, database, tenant, wave) "
            "SELECT id, 'x', 'x', 'x', 1 FROM made",
            ago, number)),
        "");
  }
  std::string Runs() { return Central("SELECT count(*) FROM leasehold.runs"); }
};

TEST_F(RunsTest, OldOnesAreForgottenAndWhatIsNewOrAmongTheNewestStays) {
  ASSERT_NO_FATAL_FAILURE(AddRuns(30, "31 days"));
  ASSERT_NO_FATAL_FAILURE(AddRuns(120, "29 days"));
  EXPECT_EQ(RunToEnd(Spec(v1::MIGRATION_KIND_APPLY)).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  EXPECT_EQ(Runs(), "121") << "those of 31 days are gone";
  EXPECT_EQ(Central("SELECT count(DISTINCT run) FROM leasehold.run_tasks WHERE database_id = 'x'"), "120");
}

TEST_F(RunsTest, TheNewestStayHoweverOldTheyAre) {
  ASSERT_NO_FATAL_FAILURE(AddRuns(RunRetention::kAlways + 5, "400 days"));
  const std::string id = RunToEnd(Spec(v1::MIGRATION_KIND_APPLY)).id();
  EXPECT_EQ(Runs(), std::format("{}", RunRetention::kAlways));
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
}

TEST_F(RunsTest, OneThatIsUnderWayIsNeverForgotten) {
  ASSERT_NO_FATAL_FAILURE(AddRuns(RunRetention::kAlways + 5, "400 days"));
  ASSERT_EQ(Central("UPDATE leasehold.runs SET state = 'running', end_time = NULL WHERE id = 1"), "");
  EXPECT_EQ(rollout_->store().Prune({}), absl::OkStatus());
  EXPECT_EQ(Central("SELECT count(*) FROM leasehold.runs WHERE id = 1"), "1");
  EXPECT_EQ(Runs(), std::format("{}", RunRetention::kAlways + 1));
}

TEST_F(RunsTest, NoMoreThanTheMostStayHoweverYoung) {
  options_.retention = {.time = absl::Hours(24), .most = 110};
  RolloutFixture::Begin();
  ASSERT_NO_FATAL_FAILURE(AddRuns(130, "1 minute"));
  ASSERT_EQ(RunToEnd(Spec(v1::MIGRATION_KIND_APPLY)).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  EXPECT_EQ(Runs(), "110");
  EXPECT_EQ(Central("SELECT count(DISTINCT run) FROM leasehold.run_tasks WHERE database_id = 'x'"), "109");
}

TEST_F(RunsTest, LooksDoNotDriveOutWhatCouldBeUndone) {
  options_.retention = {.time = absl::Hours(1), .most = 100};
  RolloutFixture::Begin();
  ASSERT_NO_FATAL_FAILURE(AddRuns(3, "400 days"));
  ASSERT_NO_FATAL_FAILURE(AddRuns(150, "1 minute"));
  ASSERT_EQ(Central("UPDATE leasehold.runs SET kind = 'MIGRATION_KIND_PREFLIGHT' WHERE id > 3"), "");
  ASSERT_EQ(RunToEnd(Spec(v1::MIGRATION_KIND_PREFLIGHT)).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  EXPECT_EQ(Central("SELECT count(*) FROM leasehold.runs WHERE kind = 'MIGRATION_KIND_APPLY'"), "3");
  EXPECT_EQ(Central("SELECT count(*) FROM leasehold.runs WHERE kind <> 'MIGRATION_KIND_APPLY'"), "100");
}

TEST_F(RunsTest, OneThatIsCancelledForgetsTheOldToo) {
  ASSERT_NO_FATAL_FAILURE(AddRuns(RunRetention::kAlways + 5, "400 days"));
  AddTenants(1);
  const std::string id = Begin(Spec(v1::MIGRATION_KIND_APPLY)).id();
  ASSERT_TRUE(rollout_->store().Cancel(*rollout_->store().NumberOf(id)).ok());
  Work();
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_CANCELLED);
  EXPECT_EQ(Runs(), std::format("{}", RunRetention::kAlways));
}

}  // namespace
}  // namespace leasehold::provisioner
