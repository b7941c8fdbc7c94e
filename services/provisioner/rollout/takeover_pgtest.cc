// Several provisioners of one service: one works on a run, and another one follows it.
#include <filesystem>
#include <fstream>
#include <span>
#include <thread>

#include "absl/time/clock.h"
#include "common/localserver/localserver.h"
#include "services/provisioner/rollout/rollout.h"
#include "services/provisioner/rollout/rollout_fixture.h"

namespace leasehold::provisioner {
namespace {

using ::testing::IsEmpty;

class TakeoverTest : public RolloutFixture {};

TEST_F(TakeoverTest, AProvisionerThatDiedIsFollowedWhereItWas) {
  AddTenants(4);
  const std::string id = Begin(Spec(v1::MIGRATION_KIND_APPLY)).id();
  // As a kill -9 leaves it: one migrated and not noted, one noted as begun.
  const auto number = rollout_->store().NumberOf(id);
  ASSERT_TRUE(rollout_->store()
                  .AddTasks(*number, std::vector<FleetDatabase>{{.database_id = DatabaseId("t01"),
                                                                 .database = Database("t01"),
                                                                 .tenant = "t01",
                                                                 .version = 1,
                                                                 .wave = 1},
                                                                {.database_id = DatabaseId("t02"),
                                                                 .database = Database("t02"),
                                                                 .tenant = "t02",
                                                                 .version = 1,
                                                                 .wave = 1}})
                  .ok());
  ASSERT_TRUE(rollout_->store().SetPhase(*number, RunPhase::kWorking, "").ok());
  ASSERT_EQ(Central("UPDATE leasehold.run_tasks SET state = 'running' WHERE tenant = 't01'"), "");
  MigrateResult result;
  ASSERT_EQ(MigrateDatabase(test_->instance(),
                            {.database = Database("t01"), .owner = Database("t01"), .id = DatabaseId("t01")},
                            *options_.library.tenant(), {.run = id}, result),
            absl::OkStatus());
  Begin();  // another provisioner
  Work();
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << Get(id).DebugString();
  EXPECT_EQ(CountMigrated(4), 4) << "late comers too";
  EXPECT_EQ(Get(id).done(), 4);
  EXPECT_THAT(TaskOf(id, "t01").files(), IsEmpty()) << "it was applied once, before";
}

TEST_F(TakeoverTest, WhoFollowsOneThatDiedOverAFailedCanaryStopsToo) {
  AddTenants(3);
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_APPLY);
  spec.mutable_canary()->add_tenants("t01");
  spec.set_failure_budget(100);
  const std::string id = Begin(spec).id();
  const int64_t number = *rollout_->store().NumberOf(id);
  auto fleet = ListFleet(*central_->Take(), test_->instance());
  ASSERT_TRUE(fleet.ok());
  fleet->erase(fleet->begin());  // the central database
  EXPECT_EQ(AssignWaves(spec, *fleet), 2);
  ASSERT_TRUE(rollout_->store().AddTasks(number, *fleet).ok());
  ASSERT_TRUE(rollout_->store().SetPhase(number, RunPhase::kWorking, "").ok());
  // The canary's failure was noted, and that was the last that the other one did.
  ASSERT_TRUE(rollout_->store().SetWave(number, 1).ok());
  const TaskNote failed{.database_id = DatabaseId("t01"), .state = v1::MIGRATION_TASK_STATE_FAILED};
  ASSERT_TRUE(rollout_->store().Note(number, std::span(&failed, 1)).ok());
  Begin();
  Work();
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_STOPPED) << Get(id).DebugString();
  EXPECT_EQ(CountMigrated(3), 0);
  v1::ResumeMigrationRunRequest resume;
  resume.set_id(id);
  ASSERT_TRUE(calls_->Resume(resume).ok());
  Work();
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_FAILED) << "somebody has looked at it and gone on";
  EXPECT_EQ(CountMigrated(3), 2);
}

TEST_F(TakeoverTest, AProvisionerReadsTheFilesOfARunThatAnotherOneBegan) {
  AddTenants(1);
  const localserver::TemporaryDirectory folder;
  std::filesystem::create_directories(folder.path() + "/tenant");
  std::filesystem::create_directories(folder.path() + "/central");
  std::ofstream(folder.path() + "/tenant/0001_a.sql") << kFirst;
  std::ofstream(folder.path() + "/central/0001_c.sql") << "CREATE TABLE c (i int);";
  const auto before = MigrationsOf({{"0001_a.sql", kFirst}});
  options_.library = MigrationLibrary(folder.path(), *before, {});
  Begin();
  Rollout::Options options = options_;
  options.library = MigrationLibrary(folder.path(), *before, {});
  Rollout other(options, {.instance = test_->instance(), .central = *central_, .clock = clock_, .metrics = metrics_});
  EXPECT_FALSE(*other.WorkOne());
  std::ofstream(folder.path() + "/tenant/0002_b.sql") << kSecond;
  EXPECT_EQ(RunToEnd(Spec(v1::MIGRATION_KIND_APPLY)).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  EXPECT_EQ(NewestVersion(*other.files().tenant), 1);
  EXPECT_FALSE(*other.WorkOne()) << "it has ended";
  EXPECT_EQ(NewestVersion(*other.files().tenant), 2) << "what it makes next is not behind";
}

TEST_F(TakeoverTest, WhoeverHoldsTheLockOfRunsWorksAlone) {
  AddTenants(1);
  Begin(Spec(v1::MIGRATION_KIND_APPLY));
  postgres::Connection other = test_->Login();
  ASSERT_EQ(other.ExecAlone("SELECT pg_advisory_lock(1818784367)").status(), absl::OkStatus());
  EXPECT_FALSE(*rollout_->WorkOne());
  EXPECT_EQ(CountMigrated(1), 0);
  ASSERT_EQ(other.ExecAlone("SELECT pg_advisory_unlock(1818784367)").status(), absl::OkStatus());
  Work();
  EXPECT_EQ(CountMigrated(1), 1);
}

TEST_F(TakeoverTest, WhoeverLostTheLockOfRunsWritesNothingOfThem) {
  AddTenants(1);
  postgres::Connection reader = test_->Superuser(Database("t01"));
  ASSERT_EQ(reader.ExecAlone("BEGIN").status(), absl::OkStatus());
  ASSERT_EQ(reader.ExecAlone("SELECT * FROM person").status(), absl::OkStatus());
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_APPLY);
  spec.set_lock_attempts(1000);
  const std::string id = Begin(spec).id();
  absl::StatusOr<bool> worked = true;
  {
    std::jthread worker([&] { worked = rollout_->WorkOne(); });
    while (Central("SELECT count(*) FROM leasehold.run_tasks WHERE state = 'running'") != "1") {
      absl::SleepFor(absl::Milliseconds(5));
    }
    EXPECT_EQ(Central("SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND objid = "
                      "1818784367"),
              "1");
    ASSERT_EQ(reader.ExecAlone("COMMIT").status(), absl::OkStatus());
  }
  EXPECT_FALSE(worked.ok());
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_RUNNING);
  EXPECT_EQ(Get(id).running(), 1) << "what became of the database is for whoever has the lock to say";
  Work();
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << Get(id).DebugString();
  EXPECT_EQ(CountMigrated(1), 1);
}

TEST_F(TakeoverTest, LostConnectionsAreMadeAnew) {
  AddTenants(2);
  Restart({{"0001_a.sql", kFirst}, {"0002_b.sql", "ALTER TABLE person ADD born int; SELECT pg_sleep(1.5);"}});
  const std::string id = Begin(Spec(v1::MIGRATION_KIND_APPLY)).id();
  {
    std::jthread worker([this] { Work(); });
    while (test_->Ask("postgres",
                      "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(1.5)%' AND state = "
                      "'active' AND datname LIKE 'tenant_%'") != "2") {
      absl::SleepFor(absl::Milliseconds(5));
    }
    EXPECT_EQ(test_->Ask("postgres",
                         "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = "
                         "'tenant_t01_identity'"),
              "1");
  }
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << Get(id).DebugString();
  EXPECT_EQ(CountMigrated(2), 2);
  EXPECT_GT(TaskOf(id, "t01").attempts(), 1);
}

TEST_F(TakeoverTest, AFileThatEndsItsSessionEachTimeIsNamed) {
  AddTenants(1);
  Restart({{"0001_a.sql", kFirst}, {"0002_b.sql", "SELECT 1;\nSELECT pg_terminate_backend(pg_backend_pid());"}});
  const v1::MigrationRun run = RunToEnd(Spec(v1::MIGRATION_KIND_APPLY));
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_FAILED) << run.DebugString();
  const v1::MigrationTask task = TaskOf(run.id(), "t01");
  EXPECT_EQ(task.failure().file(), "0002_b.sql");
  EXPECT_EQ(task.failure().line(), 2);
  EXPECT_EQ(task.failure().statement(), 2);
  EXPECT_EQ(task.failure().sqlstate(), "57P01");
  EXPECT_EQ(task.failure().message(), "migration 0002_b.sql: its session was ended at line 2, statement 2");
  EXPECT_GT(task.attempts(), 1) << "it might have been somebody else";
}

// As the gateway asks: the same call of one provisioner, and, when that stands still, of another.
TEST_F(TakeoverTest, ACallThatComesOnceMoreChangesNothing) {
  AddTenants(2);
  const std::string id = Begin(Spec(v1::MIGRATION_KIND_APPLY)).id();
  v1::MigrationCall cancel;
  cancel.mutable_cancel()->set_id(id);
  cancel.set_id("first");
  v1::MigrationCall resume;
  resume.mutable_resume()->set_id(id);
  resume.set_id("second");
  const auto ask = [this](const v1::MigrationCall& call) {
    v1::MigrationAnswer answer;
    EXPECT_TRUE(answer.ParseFromString(calls_->Answer(call.SerializeAsString())));
    EXPECT_TRUE(answer.error().empty()) << answer.error();
    return answer.run().state();
  };
  const auto asked_to_cancel = [this] { return Central("SELECT cancelled FROM leasehold.runs"); };
  ask(cancel);
  EXPECT_EQ(asked_to_cancel(), "t");
  Work();
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_CANCELLED);
  EXPECT_EQ(ask(resume), v1::MIGRATION_RUN_STATE_RUNNING);
  EXPECT_EQ(ask(cancel), v1::MIGRATION_RUN_STATE_RUNNING) << "it has done its work before";
  EXPECT_EQ(asked_to_cancel(), "f");
  cancel.set_id("third");
  ask(cancel);
  EXPECT_EQ(asked_to_cancel(), "t") << "somebody wants it again";
  Work();
  EXPECT_EQ(ask(resume), v1::MIGRATION_RUN_STATE_CANCELLED) << "the one of before";
  resume.clear_id();
  EXPECT_EQ(ask(resume), v1::MIGRATION_RUN_STATE_RUNNING);
  Work();
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);

  resume.set_id(std::string(65, 'x'));
  v1::MigrationAnswer answer;
  ASSERT_TRUE(answer.ParseFromString(calls_->Answer(resume.SerializeAsString())));
  EXPECT_THAT(answer.error(), ::testing::HasSubstr("at most 64 bytes"));
}

}  // namespace
}  // namespace leasehold::provisioner
