// Runs that did not come to their end at once: what they go on with, who may go on, and which begin by themselves.
#include <thread>

#include "absl/time/clock.h"
#include "services/provisioner/rollout/rollout_fixture.h"

namespace leasehold::provisioner {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::string_view kThird = "CREATE TABLE third (i int);";

class InterruptedTest : public RolloutFixture {
 protected:
  absl::Status Resume(const std::string& id, bool failed = false) {
    v1::ResumeMigrationRunRequest resume;
    resume.set_id(id);
    resume.set_failed(failed);
    return calls_->Resume(resume).status();
  }
  // A run that t02 has stopped, or left failed with a budget of 1.
  std::string StoppedRun(int budget = 0) {
    EXPECT_EQ(In("t02", "ALTER TABLE person ADD born int"), "");
    v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_APPLY);
    spec.set_parallelism(1);
    spec.set_failure_budget(budget);
    return RunToEnd(spec).id();
  }
  void Mend() { ASSERT_EQ(In("t02", "ALTER TABLE person DROP born"), ""); }
  void RestartAutomatically(Files files = {{"0001_a.sql", kFirst}, {"0002_b.sql", kSecond}}) {
    options_.automatic = true;
    Restart(files);
    Work();
  }
  std::string Runs() { return Central("SELECT count(*) FROM leasehold.runs"); }
  int CountThird(int tenants) {
    int count = 0;
    for (int i = 1; i <= tenants; ++i) {
      count += In(std::format("t{:02}", i), "SELECT to_regclass('third')") == "third" ? 1 : 0;
    }
    return count;
  }
};

TEST_F(InterruptedTest, AFileThatCameMeanwhileIsLeftToTheNextRun) {
  AddTenants(3);
  const std::string id = Begin(Spec(v1::MIGRATION_KIND_APPLY)).id();
  Restart({{"0001_a.sql", kFirst}, {"0002_b.sql", kSecond}, {"0003_c.sql", kThird}});
  // As one that opens again while the run stands still.
  MigrateResult result;
  ASSERT_EQ(MigrateDatabase(test_->instance(),
                            {.database = Database("t03"), .owner = Database("t03"), .id = DatabaseId("t03")},
                            *options_.library.tenant(), {}, result),
            absl::OkStatus());
  Work();
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << Get(id).DebugString();
  EXPECT_EQ(CountMigrated(3), 3);
  EXPECT_EQ(CountThird(3), 1);
  EXPECT_EQ(calls_->Status({})->behind(), 2);
  EXPECT_EQ(RunToEnd(Spec(v1::MIGRATION_KIND_APPLY)).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  EXPECT_EQ(CountThird(3), 3);
}

TEST_F(InterruptedTest, ARetryGoesOnThoughAFileHasCome) {
  AddTenants(3);
  const std::string id = StoppedRun();
  ASSERT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_STOPPED);
  ASSERT_NO_FATAL_FAILURE(Mend());
  Restart({{"0001_a.sql", kFirst}, {"0002_b.sql", kSecond}, {"0003_c.sql", kThird}});
  ASSERT_EQ(Resume(id, /*failed=*/true), absl::OkStatus());
  Work();
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << Get(id).DebugString();
  EXPECT_EQ(CountThird(3), 0);
}

TEST_F(InterruptedTest, ARetryWithAnEditedFileIsRefusedAndForgetsNothing) {
  AddTenants(3);
  const std::string id = StoppedRun();
  Restart({{"0001_a.sql", kFirst}, {"0002_b.sql", "ALTER TABLE person ADD IF NOT EXISTS born int;"}});
  const absl::Status refused = Resume(id, /*failed=*/true);
  EXPECT_EQ(ReasonOf(refused), v1::REASON_MIGRATION_FAILED);
  EXPECT_THAT(std::string(refused.message()),
              AllOf(HasSubstr("0002_b.sql was edited"), HasSubstr("`leasehold migrate apply identity`")));
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_STOPPED);
  EXPECT_EQ(Get(id).failed(), 1);
  EXPECT_EQ(TaskOf(id, "t02").failure().sqlstate(), "42701");
}

TEST_F(InterruptedTest, BeginsByItselfOnceIfToldTo) {
  AddTenants(2);
  RestartAutomatically();
  EXPECT_EQ(CountMigrated(2), 2);
  EXPECT_TRUE(Get("identity.1").spec().automatic());
  RestartAutomatically();
  EXPECT_EQ(Runs(), "1") << "nothing was behind";
}

TEST_F(InterruptedTest, OneThatBeginsByItselfStopsAtTheFirstFewTenants) {
  AddTenants(12);
  ASSERT_EQ(In("t01", "ALTER TABLE person ADD born int"), "");
  RestartAutomatically();
  EXPECT_EQ(Get("identity.1").state(), v1::MIGRATION_RUN_STATE_STOPPED) << Get("identity.1").DebugString();
  EXPECT_EQ(CountMigrated(12), 1) << "t01 alone, by hand";
  ASSERT_EQ(In("t01", "ALTER TABLE person DROP born"), "");
  RestartAutomatically();
  EXPECT_EQ(CountMigrated(12), 12) << "its own failure does not keep it from trying again";
}

TEST_F(InterruptedTest, InTheLastWaveOneThatBeginsByItselfTriesEveryDatabase) {
  AddTenants(6);
  for (const char* tenant : {"t03", "t05"}) ASSERT_EQ(In(tenant, "ALTER TABLE person ADD name2 int"), "");
  RestartAutomatically({{"0001_a.sql", kFirst}, {"0002_b.sql", "ALTER TABLE person ADD born int, ADD name2 int;"}});
  EXPECT_EQ(Get("identity.1").state(), v1::MIGRATION_RUN_STATE_FAILED) << Get("identity.1").DebugString();
  EXPECT_EQ(CountMigrated(6), 4);
}

TEST_F(InterruptedTest, NoneBeginsByItselfAfterWhatSomebodyHasLeft) {
  AddTenants(3);
  const std::string id = StoppedRun();
  RestartAutomatically();
  EXPECT_EQ(Runs(), "1") << "stopped";
  ASSERT_EQ(Resume(id), absl::OkStatus());
  Work();
  ASSERT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_FAILED);
  RestartAutomatically();
  EXPECT_EQ(Runs(), "1") << "failed";
  ASSERT_NO_FATAL_FAILURE(Mend());
  ASSERT_EQ(Resume(id, /*failed=*/true), absl::OkStatus());
  Work();
  RestartAutomatically({{"0001_a.sql", kFirst}, {"0002_b.sql", kSecond}, {"0003_c.sql", kThird}});
  EXPECT_EQ(Runs(), "2") << "succeeded";
  EXPECT_EQ(CountThird(3), 3);
}

TEST_F(InterruptedTest, NoneBeginsByItselfAfterAnUndoOrACancel) {
  AddTenants(2);
  const std::string applied = RunToEnd(Spec(v1::MIGRATION_KIND_APPLY)).id();
  const Files with_down = {
      {"0001_a.sql", kFirst}, {"0002_b.sql", kSecond}, {"0002_b.down.sql", "ALTER TABLE person DROP born;"}};
  Restart(with_down);
  v1::MigrationSpec undo = Spec(v1::MIGRATION_KIND_UNDO);
  undo.set_undo_run(applied);
  ASSERT_EQ(RunToEnd(undo).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  RestartAutomatically(with_down);
  EXPECT_EQ(Runs(), "2");
  EXPECT_EQ(CountMigrated(2), 0);
  options_.automatic = false;
  Restart(with_down);
  const std::string id = Begin(Spec(v1::MIGRATION_KIND_APPLY)).id();
  ASSERT_TRUE(calls_->Cancel(id).ok());
  Work();
  RestartAutomatically(with_down);
  EXPECT_EQ(Runs(), "3");
  EXPECT_EQ(CountMigrated(2), 0);
}

TEST_F(InterruptedTest, NobodyButAProvisionerBeginsAutomatically) {
  AddTenants(1);
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_APPLY);
  spec.set_automatic(true);
  EXPECT_FALSE(Begin(spec).spec().automatic());
}

// "lhtn", of steps/tenant_lock.cc.
constexpr std::string_view kHold = "SELECT pg_advisory_lock(1818784878, hashtext('t01'))";

TEST_F(InterruptedTest, ATenantThatSomebodyElseIsAtWorkOnComesLast) {
  AddTenants(3);
  auto other = std::make_unique<postgres::Connection>(test_->instance().AsLogin("identity_central"));
  ASSERT_EQ(other->ExecAlone(kHold).status(), absl::OkStatus());
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_APPLY);
  spec.set_parallelism(1);
  spec.set_lock_attempts(1'000);
  spec.mutable_lock_timeout()->set_nanos(50'000'000);
  const std::string id = Begin(spec).id();
  {
    std::jthread worker([this] { Work(); });
    while (CountMigrated(3) < 2) absl::SleepFor(absl::Milliseconds(5));
    EXPECT_FALSE(HasColumn("t01"));
    other.reset();
  }
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << Get(id).DebugString();
  EXPECT_EQ(CountMigrated(3), 3);
}

TEST_F(InterruptedTest, ATenantThatSomebodyElseKeepsFailsAsALockDoes) {
  AddTenants(2);
  postgres::Connection other = test_->Login();
  ASSERT_EQ(other.ExecAlone(kHold).status(), absl::OkStatus());
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_APPLY);
  spec.set_failure_budget(1);
  spec.set_lock_attempts(2);
  spec.mutable_lock_timeout()->set_nanos(20'000'000);
  std::string id = RunToEnd(spec).id();
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_FAILED) << Get(id).DebugString();
  EXPECT_EQ(TaskOf(id, "t01").failure().sqlstate(), "55P03");
  EXPECT_EQ(TaskOf(id, "t01").attempts(), 2);
  EXPECT_EQ(CountMigrated(2), 1);

  ASSERT_EQ(Central("UPDATE leasehold.tenants SET fill_database_id = 'f' WHERE id = 't01'"), "");
  id = RunToEnd(spec).id();
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << "a restore brings it up to date itself";
  EXPECT_EQ(Get(id).skipped(), 1);
}

}  // namespace
}  // namespace leasehold::provisioner
