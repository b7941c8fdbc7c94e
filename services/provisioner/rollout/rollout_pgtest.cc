#include "services/provisioner/rollout/rollout.h"

#include <thread>

#include "absl/time/clock.h"
#include "services/provisioner/rollout/rollout_fixture.h"

namespace leasehold::provisioner {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RolloutTest : public RolloutFixture {
 protected:
  v1::Reason Refused(const v1::MigrationSpec& spec) {
    v1::StartMigrationRunRequest request;
    *request.mutable_spec() = spec;
    return ReasonOf(calls_->Start(request).status());
  }
  std::vector<std::string> FilesOf(const std::string& id, const std::string& tenant) {
    const v1::MigrationTask task = TaskOf(id, tenant);
    return {task.files().begin(), task.files().end()};
  }
};

TEST_F(RolloutTest, BringsEveryDatabaseToTheNewestVersionOnce) {
  AddTenants(5);
  Restart({{"0001_a.sql", kFirst}, {"0002_b.sql", kSecond}},
          {{"0001_c.sql", "CREATE TABLE c (i int);"}, {"0002_d.sql", "CREATE TABLE d (i int);"}});
  v1::MigrationRun run = RunToEnd(Spec(v1::MIGRATION_KIND_APPLY));
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << run.DebugString();
  EXPECT_EQ(run.done(), 6);
  EXPECT_EQ(run.waves(), 2);
  EXPECT_EQ(CountMigrated(5), 5);
  EXPECT_EQ(Central("SELECT to_regclass('d')"), "d");
  EXPECT_EQ(In("t01", "SELECT run FROM leasehold.migrations WHERE version = 2"), run.id());
  EXPECT_EQ(Central("SELECT string_agg(DISTINCT schema_version::text, ',') FROM leasehold.tenants"), "2");
  EXPECT_EQ(Central("SELECT count(*) FROM leasehold.schemas WHERE version = 2"), "6");
  const v1::MigrationTask task = TaskOf(run.id(), "t03");
  EXPECT_THAT(task.files(), ElementsAre("0002_b.sql"));
  EXPECT_EQ(task.from_version(), 1);
  EXPECT_EQ(task.to_version(), 2);

  run = RunToEnd(Spec(v1::MIGRATION_KIND_APPLY));
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  EXPECT_EQ(run.total(), 0);
  EXPECT_EQ(run.message(), "there was nothing to do");
}

TEST_F(RolloutTest, CountsWhatIsBehindAndWhatRunsBring) {
  AddTenants(3);
  Restart({{"0001_a.sql", kFirst}, {"0002_b.sql", "ALTER TABLE person ADD CHECK (name <> 'x');"}});
  ASSERT_EQ(rollout_->CountBehind(), absl::OkStatus());
  std::string text = metrics_.Expose();
  EXPECT_THAT(text, HasSubstr("leasehold_migration_databases_behind 3\n"));
  EXPECT_THAT(text, HasSubstr("leasehold_migration_run_active 0\n"));
  EXPECT_THAT(text, HasSubstr("leasehold_migration_runs_total{outcome=\"failed\"} 0\n"));
  ASSERT_EQ(In("t02", "INSERT INTO person VALUES (1, 'x')"), "");
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_APPLY);
  spec.set_failure_budget(1);
  EXPECT_EQ(RunToEnd(spec).state(), v1::MIGRATION_RUN_STATE_FAILED);
  ASSERT_EQ(rollout_->CountBehind(), absl::OkStatus());
  text = metrics_.Expose();
  EXPECT_THAT(text, HasSubstr("leasehold_migration_databases_behind 1\n"));
  EXPECT_THAT(text, HasSubstr("leasehold_migration_databases_total{outcome=\"done\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("leasehold_migration_databases_total{outcome=\"failed\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("leasehold_migration_runs_total{outcome=\"failed\"} 1\n"));
}

TEST_F(RolloutTest, AFailureBeyondTheBudgetStopsTheRunAndRetryGoesOn) {
  AddTenants(8);
  for (const char* tenant : {"t02", "t03"}) ASSERT_EQ(In(tenant, "INSERT INTO person VALUES (1, 'a'), (2, 'a')"), "");
  Restart({{"0001_a.sql", kFirst},
           {"0002_b.sql", "ALTER TABLE person ADD born int;\nSELECT 1;\nCREATE UNIQUE INDEX one ON person (name);"}});
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_APPLY);
  spec.set_parallelism(1);
  spec.set_failure_budget(1);
  const v1::MigrationRun run = RunToEnd(spec);
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_STOPPED) << run.DebugString();
  EXPECT_EQ(run.failed(), 2);
  EXPECT_EQ(run.pending(), 5);
  EXPECT_THAT(run.message(), AllOf(HasSubstr("2 databases failed"), HasSubstr("5 databases were not tried")));
  const v1::MigrationTask task = TaskOf(run.id(), "t02");
  EXPECT_EQ(task.state(), v1::MIGRATION_TASK_STATE_FAILED);
  EXPECT_EQ(task.failure().sqlstate(), "23505");
  EXPECT_EQ(task.failure().statement(), 3);
  EXPECT_EQ(task.failure().file(), "0002_b.sql");
  EXPECT_THAT(task.failure().text(), HasSubstr("CREATE UNIQUE INDEX"));
  EXPECT_EQ(Tasks(run.id()).front().state(), v1::MIGRATION_TASK_STATE_FAILED) << "failed ones first";
  EXPECT_EQ(CountMigrated(8), 1);

  v1::ResumeMigrationRunRequest resume;
  resume.set_id(run.id());
  ASSERT_TRUE(calls_->Resume(resume).ok());
  Work();
  EXPECT_EQ(Get(run.id()).state(), v1::MIGRATION_RUN_STATE_FAILED) << "all others are through";
  EXPECT_EQ(CountMigrated(8), 6);
  for (const char* tenant : {"t02", "t03"}) ASSERT_EQ(In(tenant, "DELETE FROM person WHERE id = 1"), "");
  resume.set_failed(true);
  ASSERT_TRUE(calls_->Resume(resume).ok());
  Work();
  EXPECT_EQ(Get(run.id()).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << Get(run.id()).DebugString();
  EXPECT_EQ(CountMigrated(8), 8);
  EXPECT_EQ(ReasonOf(calls_->Resume(resume).status()), v1::REASON_MIGRATION_FAILED) << "there is nothing left";
}

TEST_F(RolloutTest, ACanaryThatFailsKeepsTheRestUntouchedWhateverTheBudget) {
  AddTenants(6);
  ASSERT_EQ(In("t06", "ALTER TABLE person ADD born int"), "");
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_APPLY);
  spec.mutable_canary()->add_tenants("t06");
  spec.set_failure_budget(100);
  const v1::MigrationRun run = RunToEnd(spec);
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_STOPPED);
  EXPECT_EQ(run.wave(), 1);
  EXPECT_EQ(run.waves(), 2);
  EXPECT_EQ(TaskOf(run.id(), "t06").failure().sqlstate(), "42701");
  EXPECT_EQ(CountMigrated(5), 0);
}

TEST_F(RolloutTest, WavesFollowEachOther) {
  AddTenants(6);
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_APPLY);
  spec.add_waves(30);
  const v1::MigrationRun run = RunToEnd(spec);
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  EXPECT_EQ(run.waves(), 2);
  EXPECT_EQ(Central("SELECT max(update_time) FILTER (WHERE wave = 1) <= min(update_time) FILTER (WHERE wave = 2) FROM "
                    "leasehold.run_tasks"),
            "t");
}

TEST_F(RolloutTest, OneRunAtATimeAndTheSameRequestIsTheSameRun) {
  AddTenants(1);
  v1::StartMigrationRunRequest request;
  *request.mutable_spec() = Spec(v1::MIGRATION_KIND_APPLY);
  request.set_request_id("once");
  const auto first = calls_->Start(request);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(calls_->Start(request)->id(), first->id());
  request.set_request_id("twice");
  const absl::Status busy = calls_->Start(request).status();
  EXPECT_EQ(ReasonOf(busy), v1::REASON_MIGRATION_FAILED);
  EXPECT_THAT(std::string(busy.message()), HasSubstr("under way, " + first->id() + ";"));
  Work();
  request.set_request_id("once");
  EXPECT_EQ(calls_->Start(request)->id(), first->id()) << "also after its end";
  EXPECT_EQ(ReasonOf(calls_->Get("identity.99").status()), v1::REASON_OPERATION_NOT_FOUND);
  EXPECT_EQ(ReasonOf(calls_->Get("employee.1").status()), v1::REASON_OPERATION_NOT_FOUND);
}

TEST_F(RolloutTest, ACancelledRunLeavesTheRestAndCanBeResumed) {
  AddTenants(4);
  const std::string id = Begin(Spec(v1::MIGRATION_KIND_APPLY)).id();
  ASSERT_TRUE(calls_->Cancel(id).ok());
  Work();
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_CANCELLED);
  EXPECT_EQ(CountMigrated(4), 0);
  ASSERT_TRUE(calls_->Cancel(id).ok()) << "changes nothing";
  v1::ResumeMigrationRunRequest resume;
  resume.set_id(id);
  ASSERT_TRUE(calls_->Resume(resume).ok());
  Work();
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  EXPECT_EQ(CountMigrated(4), 4);
  EXPECT_EQ(ReasonOf(calls_->Cancel(id).status()), v1::REASON_OPERATION_NOT_CANCELLABLE);
}

TEST_F(RolloutTest, CancelReachesARunThatWaits) {
  AddTenants(3);
  postgres::Connection holder = test_->Superuser(Database("t01"));
  ASSERT_EQ(holder.ExecAlone("BEGIN").status(), absl::OkStatus());
  ASSERT_EQ(holder.ExecAlone("LOCK TABLE person").status(), absl::OkStatus());
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_APPLY);
  spec.set_parallelism(1);
  spec.set_lock_attempts(1000);
  spec.mutable_lock_timeout()->set_nanos(50'000'000);
  const std::string id = Begin(spec).id();
  {
    std::jthread worker([this] { Work(); });
    while (Central("SELECT count(*) FROM leasehold.run_tasks WHERE state = 'running'") != "1") {
      absl::SleepFor(absl::Milliseconds(5));
    }
    ASSERT_TRUE(calls_->Cancel(id).ok());
  }
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_CANCELLED);
  EXPECT_EQ(Get(id).pending(), 3);
}

TEST_F(RolloutTest, ALockHeldBySomeSessionFailsThatDatabaseAlone) {
  AddTenants(3);
  postgres::Connection holder = test_->Superuser(Database("t02"));
  ASSERT_EQ(holder.ExecAlone("BEGIN").status(), absl::OkStatus());
  ASSERT_EQ(holder.ExecAlone("SELECT * FROM person").status(), absl::OkStatus());
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_APPLY);
  spec.set_lock_attempts(2);
  spec.mutable_lock_timeout()->set_nanos(50'000'000);
  spec.set_failure_budget(1);
  const v1::MigrationRun run = RunToEnd(spec);
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_FAILED);
  EXPECT_EQ(TaskOf(run.id(), "t02").failure().sqlstate(), "55P03");
  EXPECT_EQ(TaskOf(run.id(), "t02").attempts(), 2);
  EXPECT_EQ(CountMigrated(3), 2);
}

TEST_F(RolloutTest, TheSummaryForgetsDatabasesThatAreGone) {
  AddTenants(2);
  ASSERT_EQ(Central("INSERT INTO leasehold.spares (database_id, state, create_time) VALUES ('5555', 'building', now());"
                    "INSERT INTO leasehold.schemas SELECT id, 1, 'd', now() FROM unnest(ARRAY['5555', '6666', '7777']) "
                    "AS id; UPDATE leasehold.tenants SET fill_database_id = '6666' WHERE id = 't01'"),
            "");
  RunToEnd(Spec(v1::MIGRATION_KIND_APPLY));
  EXPECT_EQ(Central("SELECT string_agg(database_id, ' ' ORDER BY database_id) FROM leasehold.schemas"),
            std::format("5555 6666 central {} {}", DatabaseId("t01"), DatabaseId("t02")));
}

TEST_F(RolloutTest, WhatEndedAtOneInstantIsOnOnePage) {
  AddTenants(3);
  const std::string id = RunToEnd(Spec(v1::MIGRATION_KIND_APPLY)).id();
  ASSERT_EQ(Central("UPDATE leasehold.run_tasks SET update_time = '2026-01-01' WHERE tenant <> 't03'"), "");
  v1::ListMigrationTasksRequest request;
  request.set_id(id);
  request.set_page_size(1);
  request.mutable_ended_after();
  const int64_t number = *rollout_->store().NumberOf(id);
  auto page = rollout_->store().ListTasks(number, request);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->tasks_size(), 2);
  *request.mutable_ended_after() = page->tasks(1).update_time();
  page = rollout_->store().ListTasks(number, request);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->tasks_size(), 1);
  EXPECT_EQ(page->tasks(0).tenant(), "t03");
}

TEST_F(RolloutTest, AClosedOrRemovedTenantIsSkipped) {
  AddTenants(3);
  const std::string id = Begin(Spec(v1::MIGRATION_KIND_APPLY)).id();
  const auto fleet = ListFleet(*central_->Take(), test_->instance());
  ASSERT_TRUE(fleet.ok());
  const auto number = *rollout_->store().NumberOf(id);
  ASSERT_TRUE(rollout_->store().AddTasks(number, std::vector(fleet->begin() + 1, fleet->end())).ok());
  ASSERT_EQ(Central("UPDATE leasehold.tenants SET desired = 'closed' WHERE id = 't01'"), "");
  ASSERT_EQ(Central("DELETE FROM leasehold.tenants WHERE id = 't02'"), "");
  ASSERT_TRUE(rollout_->store().SetPhase(number, RunPhase::kWorking, "").ok());
  Work();
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  EXPECT_EQ(Get(id).skipped(), 2);
  EXPECT_EQ(CountMigrated(3), 1);
}

TEST_F(RolloutTest, ARunGoesOnOnlyWithItsOwnFiles) {
  AddTenants(2);
  const std::string id = Begin(Spec(v1::MIGRATION_KIND_APPLY)).id();
  Restart({{"0001_a.sql", kFirst}, {"0002_b.sql", "ALTER TABLE person ADD born bigint;"}});
  EXPECT_FALSE(rollout_->WorkOne().ok()) << "another provisioner may have them";
  ASSERT_EQ(Central("UPDATE leasehold.runs SET update_time = now() - interval '1 minute'"), "");
  Work();
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_STOPPED);
  EXPECT_THAT(Get(id).message(), HasSubstr("0002_b.sql was edited"));
  EXPECT_EQ(CountMigrated(2), 0);
}

TEST_F(RolloutTest, UndoTakesBackTheNamedRunOnly) {
  AddTenants(3);
  Restart({{"0001_a.sql", kFirst}, {"0002_b.sql", kSecond}, {"0002_b.down.sql", "ALTER TABLE person DROP born;"}});
  v1::MigrationSpec apply = Spec(v1::MIGRATION_KIND_APPLY);
  apply.mutable_selection()->add_tenants("t01");
  const std::string first = RunToEnd(apply).id();
  const std::string second = RunToEnd(Spec(v1::MIGRATION_KIND_APPLY)).id();
  EXPECT_EQ(CountMigrated(3), 3);
  v1::MigrationSpec undo = Spec(v1::MIGRATION_KIND_UNDO);
  undo.set_undo_run(second);
  const v1::MigrationRun run = RunToEnd(undo);
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << run.DebugString();
  EXPECT_TRUE(HasColumn("t01")) << first;
  EXPECT_EQ(CountMigrated(3), 1);
  EXPECT_EQ(TaskOf(run.id(), "t02").to_version(), 1);
  EXPECT_EQ(run.message(), "");
  const v1::MigrationRun again = RunToEnd(undo);
  EXPECT_EQ(again.state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << again.DebugString();
  EXPECT_EQ(again.message(), "nothing that " + second + " applied is there to take back");
  undo.set_undo_run("identity.99");
  EXPECT_EQ(Refused(undo), v1::REASON_OPERATION_NOT_FOUND);
  undo.set_undo_run(run.id());
  EXPECT_EQ(Refused(undo), v1::REASON_INVALID_FIELD) << "it applied nothing";
}

TEST_F(RolloutTest, AnUndoThatSomeDatabaseDoesNotAllowBeginsInNone) {
  AddTenants(4);
  v1::MigrationSpec apply = Spec(v1::MIGRATION_KIND_APPLY);
  apply.mutable_selection()->add_tenants("t01");
  ASSERT_EQ(RunToEnd(apply).done(), 1);
  // To t01 this brings the third file alone, which has a down file.
  Restart({{"0001_a.sql", kFirst},
           {"0002_b.sql", kSecond},
           {"0003_c.sql", "CREATE TABLE c (i int);"},
           {"0003_c.down.sql", "DROP TABLE c;"}});
  const std::string second = RunToEnd(Spec(v1::MIGRATION_KIND_APPLY)).id();
  v1::MigrationSpec undo = Spec(v1::MIGRATION_KIND_UNDO);
  undo.set_undo_run(second);
  undo.set_failure_budget(10);
  const v1::MigrationRun run = RunToEnd(undo);
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_STOPPED) << run.DebugString();
  EXPECT_THAT(run.message(), AllOf(HasSubstr("nothing was written"), HasSubstr("0002_b.sql has no down file")));
  EXPECT_EQ(run.done(), 0);
  EXPECT_EQ(run.findings_size(), 3);
  EXPECT_EQ(In("t01", "SELECT to_regclass('c')"), "c");
}

TEST_F(RolloutTest, ADryRunTriesEveryDatabaseAndChangesNone) {
  AddTenants(3);
  ASSERT_EQ(In("t02", "ALTER TABLE person ADD born int"), "");
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_DRY_RUN);
  spec.set_failure_budget(10);
  const v1::MigrationRun run = RunToEnd(spec);
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_FAILED);
  EXPECT_EQ(TaskOf(run.id(), "t02").failure().sqlstate(), "42701");
  EXPECT_THAT(FilesOf(run.id(), "t01"), ElementsAre("0002_b.sql"));
  EXPECT_FALSE(HasColumn("t01"));
  EXPECT_EQ(Central("SELECT count(*) FROM leasehold.schemas WHERE version = 2"), "0");
}

TEST_F(RolloutTest, ALookGoesOnWhateverTheFirstWaveShows) {
  AddTenants(2);
  Restart({{"0001_a.sql", kFirst}, {"0002_b.sql", kSecond}},
          {{"0001_c.sql", "CREATE TABLE c (i int);"}, {"0002_d.sql", "CREATE TABLE c (i int);"}});
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_DRY_RUN);
  spec.set_failure_budget(10);
  const v1::MigrationRun run = RunToEnd(spec);
  EXPECT_EQ(run.failed(), 1) << "the central database";
  EXPECT_EQ(run.done(), 2);
}

TEST_F(RolloutTest, ASelectionThatFitsNobodyIsRefused) {
  AddTenants(2);
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_APPLY);
  spec.mutable_selection()->add_tenants("nosuch");
  EXPECT_EQ(Refused(spec), v1::REASON_INVALID_FIELD);
  v1::PlanMigrationsRequest plan;
  *plan.mutable_spec() = spec;
  EXPECT_EQ(ReasonOf(calls_->Plan(plan).status()), v1::REASON_INVALID_FIELD);
  spec.mutable_selection()->set_tenants(0, "t*");
  spec.mutable_canary()->add_tenants("nosuch");
  EXPECT_EQ(Refused(spec), v1::REASON_INVALID_FIELD);
  EXPECT_EQ(Central("SELECT count(*) FROM leasehold.runs"), "0");
}

TEST_F(RolloutTest, StatusIsOneQueryAndSaysWhoIsBehind) {
  AddTenants(3);
  auto status = calls_->Status({});
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->total(), 4);
  EXPECT_EQ(status->behind(), 3);
  EXPECT_EQ(status->newest_tenant_version(), 2);
  EXPECT_EQ(status->databases(1).pending(), 1);
  EXPECT_EQ(status->files_error(), "");
  v1::GetMigrationStatusRequest paged;
  paged.set_page_size(3);
  status = calls_->Status(paged);
  EXPECT_EQ(status->databases_size(), 3);
  paged.set_page_token(status->next_page_token());
  EXPECT_EQ(calls_->Status(paged)->databases_size(), 1);
  paged.set_page_token("acme");
  EXPECT_EQ(ReasonOf(calls_->Status(paged).status()), v1::REASON_BAD_PAGE_TOKEN);
  v1::PlanMigrationsRequest planned;
  planned.set_page_token("1x");
  EXPECT_EQ(ReasonOf(calls_->Plan(planned).status()), v1::REASON_BAD_PAGE_TOKEN);
  Work();
  const auto plan = calls_->Plan({});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->databases_size(), 3);
  ASSERT_EQ(plan->files_size(), 1);
  EXPECT_THAT(plan->files(0).statements(), ElementsAre("ALTER TABLE person ADD born int"));
}

TEST_F(RolloutTest, WhatIsNoCallIsAnswered) {
  v1::MigrationAnswer answer;
  ASSERT_TRUE(answer.ParseFromString(calls_->Answer("\xff\xff garbage")));
  EXPECT_FALSE(answer.error().empty());
  ASSERT_TRUE(answer.ParseFromString(calls_->Answer("")));
  EXPECT_FALSE(answer.error().empty());
  v1::MigrationCall call;
  call.mutable_status();
  ASSERT_TRUE(answer.ParseFromString(calls_->Answer(call.SerializeAsString())));
  EXPECT_EQ(answer.status().total(), 1);
}

}  // namespace
}  // namespace leasehold::provisioner
