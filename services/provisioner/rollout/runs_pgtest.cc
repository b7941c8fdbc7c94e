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
  ASSERT_NO_FATAL_FAILURE(AddRuns(RunStore::kKeptRuns + 5, "400 days"));
  const std::string id = RunToEnd(Spec(v1::MIGRATION_KIND_APPLY)).id();
  EXPECT_EQ(Runs(), std::format("{}", RunStore::kKeptRuns));
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
}

TEST_F(RunsTest, OneThatIsUnderWayIsNeverForgotten) {
  ASSERT_NO_FATAL_FAILURE(AddRuns(RunStore::kKeptRuns + 5, "400 days"));
  ASSERT_EQ(Central("UPDATE leasehold.runs SET state = 'running', end_time = NULL WHERE id = 1"), "");
  EXPECT_EQ(rollout_->store().Prune(), absl::OkStatus());
  EXPECT_EQ(Central("SELECT count(*) FROM leasehold.runs WHERE id = 1"), "1");
  EXPECT_EQ(Runs(), std::format("{}", RunStore::kKeptRuns + 1));
}

}  // namespace
}  // namespace leasehold::provisioner
