// Runs that look: pre-flight, verify, repair.
#include "services/provisioner/rollout/rollout_fixture.h"

namespace leasehold::provisioner {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::ResultOf;
using ::testing::SizeIs;

auto Code(const std::string& code) {
  return ResultOf([](const v1::MigrationFinding& finding) { return finding.code(); }, code);
}
auto Object(const std::string& part) {
  return ResultOf([](const v1::MigrationFinding& finding) { return finding.object(); }, HasSubstr(part));
}

class LooksTest : public RolloutFixture {
 protected:
  std::vector<v1::MigrationFinding> Found(const std::string& id, const std::string& tenant) {
    const v1::MigrationTask task = TaskOf(id, tenant);
    return {task.findings().begin(), task.findings().end()};
  }
  v1::MigrationRun Verify() { return RunToEnd(Spec(v1::MIGRATION_KIND_VERIFY)); }
};

TEST_F(LooksTest, PreflightNamesDatabaseObjectAndRemedy) {
  AddTenants(4);
  ASSERT_EQ(In("t01", "INSERT INTO person VALUES (1, 'a'), (2, 'a')"), "");
  EXPECT_EQ(In("t01", "CREATE UNIQUE INDEX CONCURRENTLY half ON person (name)"), "error: 23505");
  postgres::Connection holder = test_->Superuser(Database("t02"));
  ASSERT_EQ(holder.ExecAlone("BEGIN").status(), absl::OkStatus());
  ASSERT_EQ(holder.ExecAlone("LOCK TABLE person").status(), absl::OkStatus());
  Restart({{"0001_a.sql", "CREATE TABLE person (edited int);"}, {"0002_b.sql", "CREATE EXTENSION no_such_thing;"}});
  const v1::MigrationRun run = RunToEnd(Spec(v1::MIGRATION_KIND_PREFLIGHT));
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << run.DebugString();
  EXPECT_THAT(run.findings(), Contains(AllOf(Code("lock-held"), Object("session"))));
  EXPECT_THAT(run.findings(), Contains(AllOf(Code("extension"), Object("no_such_thing"))));
  EXPECT_THAT(Found(run.id(), "t01"), Contains(AllOf(Code("invalid-index"), Object("half on person"))));
  EXPECT_THAT(Found(run.id(), "t02"), Contains(Code("lock-held")));
  EXPECT_THAT(Found(run.id(), "t03"), Contains(AllOf(Code("history-edited"), Object("0001_a.sql"))));
  EXPECT_THAT(Found(run.id(), "t03"), Contains(Code("extension")));
  const v1::MigrationTask task = TaskOf(run.id(), "t03");
  for (const v1::MigrationFinding& finding : task.findings()) {
    EXPECT_EQ(finding.database(), Database("t03"));
    EXPECT_FALSE(finding.remedy().empty());
  }
}

TEST_F(LooksTest, ARunThatFindsAnEditedFileWritesNothing) {
  AddTenants(3);
  Restart({{"0001_a.sql", "CREATE TABLE person (edited int);"}, {"0002_b.sql", kSecond}});
  v1::MigrationRun run = RunToEnd(Spec(v1::MIGRATION_KIND_APPLY));
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_STOPPED);
  EXPECT_THAT(run.message(), AllOf(HasSubstr("nothing was written"), HasSubstr("0001_a.sql: was edited after")));
  EXPECT_THAT(run.findings(), SizeIs(3));
  for (const v1::MigrationFinding& finding : run.findings()) {
    EXPECT_EQ(finding.code(), "history-edited");
    EXPECT_THAT(finding.remedy(), HasSubstr("--accept-file"));
  }
  EXPECT_EQ(CountMigrated(3), 0);
  ASSERT_TRUE(rollout_->store().Resume(*rollout_->store().NumberOf(run.id()), /*failed=*/true).ok());
  Work();
  EXPECT_THAT(Get(run.id()).findings(), SizeIs(3)) << "those of the newest look";
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_APPLY);
  spec.set_ignore_findings(true);
  run = RunToEnd(spec);
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_FAILED) << "each database refuses by itself";
  EXPECT_THAT(TaskOf(run.id(), "t01").failure().message(), HasSubstr("was edited"));
}

TEST_F(LooksTest, APlanSaysWhichHistoriesApplyWouldStopAt) {
  AddTenants(3);
  EXPECT_THAT(calls_->Plan({})->findings(), IsEmpty());
  ASSERT_EQ(RunToEnd(Spec(v1::MIGRATION_KIND_APPLY)).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  Restart({{"0001_a.sql", kFirst}});
  const auto plan = calls_->Plan({});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(plan->databases(), IsEmpty());
  EXPECT_THAT(plan->findings(), SizeIs(3));
  EXPECT_THAT(plan->findings(), Each(AllOf(Code("history-missing-file"), Object("0002_b.sql"))));
}

TEST_F(LooksTest, AFileWithoutAStatementIsWarnedOfAndApplied) {
  AddTenants(2);
  Restart({{"0001_a.sql", kFirst}, {"0002_empty.sql", "-- a place for later;\n"}, {"0003_b.sql", kSecond}});
  const auto is_empty = AllOf(Code("empty-file"), Object("0002_empty.sql"));
  const auto plan = calls_->Plan({});
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_THAT(plan->findings(), ElementsAre(is_empty)) << "once, however many databases";
  EXPECT_EQ(plan->findings(0).severity(), v1::MIGRATION_SEVERITY_WARNING);
  EXPECT_THAT(RunToEnd(Spec(v1::MIGRATION_KIND_PREFLIGHT)).findings(), Contains(is_empty));
  const v1::MigrationRun run = RunToEnd(Spec(v1::MIGRATION_KIND_APPLY));
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << "other tools take them too";
  EXPECT_THAT(run.findings(), ElementsAre(is_empty));
  EXPECT_THAT(calls_->Plan({})->findings(), IsEmpty());
}

TEST_F(LooksTest, AHistoryThatCannotBeReadIsSaidToDiffer) {
  AddTenants(1);
  Restart({{"0001_a.sql", "CREATE TABLE person (edited int);"}});
  ASSERT_EQ(test_->Ask("postgres", "ALTER DATABASE tenant_t01_identity ALLOW_CONNECTIONS false"), "");
  EXPECT_THAT(calls_->Plan({})->findings(), ElementsAre(Code("history-differs")));
}

TEST_F(LooksTest, AnIndexThatCouldNotBeMadeDoesNotKeepTheNextRunAway) {
  AddTenants(2);
  ASSERT_EQ(In("t01", "INSERT INTO person VALUES (1, 'a'), (2, 'a')"), "");
  Restart({{"0001_a.sql", kFirst},
           {"0002_b.sql", "-- leasehold: no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY p_n ON person (name);"}});
  EXPECT_NE(RunToEnd(Spec(v1::MIGRATION_KIND_APPLY)).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  EXPECT_EQ(calls_->Status({})->differing(), 0) << "nothing of the file has happened";
  ASSERT_EQ(In("t01", "DELETE FROM person WHERE id = 2"), "");
  const v1::MigrationRun run = RunToEnd(Spec(v1::MIGRATION_KIND_APPLY));
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << run.DebugString();
  EXPECT_EQ(In("t01", "SELECT indisvalid FROM pg_index WHERE indexrelid = 'p_n'::regclass"), "t");
}

TEST_F(LooksTest, ATableThatIsMissingHasARemedy) {
  AddTenants(1);
  ASSERT_EQ(In("t01", "DROP TABLE person"), "");
  const v1::MigrationRun run = Verify();
  EXPECT_THAT(Found(run.id(), "t01"), Contains(AllOf(Code("drift-missing"), Object("table public.person"))));
  for (const v1::MigrationFinding& finding : Found(run.id(), "t01")) {
    EXPECT_FALSE(finding.remedy().ends_with(": ")) << finding.DebugString();
  }
}

TEST_F(LooksTest, ADryRunNamesWhatWasNotTried) {
  AddTenants(1);
  Restart({{"0001_a.sql", kFirst}, {"0002_b.sql", "-- leasehold: no-transaction\nVACUUM person;"}});
  const v1::MigrationRun run = RunToEnd(Spec(v1::MIGRATION_KIND_DRY_RUN));
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  EXPECT_THAT(Found(run.id(), "t01"), ElementsAre(AllOf(Code("not-tried"), Object("0002_b.sql"))));
}

TEST_F(LooksTest, ADatabaseThatIsGoneIsFoundBeforeAnythingIsWritten) {
  AddTenants(2);
  ASSERT_EQ(test_->Ask("postgres", "DROP DATABASE tenant_t02_identity"), "");
  const v1::MigrationRun run = RunToEnd(Spec(v1::MIGRATION_KIND_APPLY));
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_STOPPED);
  EXPECT_THAT(run.findings(), Contains(AllOf(Code("unreachable"), Object("tenant_t02_identity"))));
  EXPECT_FALSE(HasColumn("t01"));
}

TEST_F(LooksTest, VerifyFindsNothingInAFleetThatIsAsTheFilesMakeIt) {
  AddTenants(3);
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_APPLY);
  spec.mutable_selection()->add_tenants("t01");
  RunToEnd(spec);
  const v1::MigrationRun run = Verify();
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << run.DebugString();
  EXPECT_EQ(run.done(), 4) << "also those that are behind are as their own version makes them";
  EXPECT_EQ(run.with_findings(), 0) << Tasks(run.id(), true).front().DebugString();
  EXPECT_EQ(test_->Ask("postgres", "SELECT count(*) FROM pg_database WHERE starts_with(datname, 'leasehold_new_')"),
            "0");
  EXPECT_EQ(test_->Ask("postgres", "SELECT count(*) FROM pg_roles WHERE starts_with(rolname, 'leasehold_new_')"), "0");
}

TEST_F(LooksTest, VerifyListsDriftObjectByObject) {
  AddTenants(2);
  ASSERT_EQ(In("t02", "ALTER TABLE person ALTER name DROP NOT NULL; CREATE TABLE extra (i int)"), "");
  ASSERT_EQ(Central("CREATE INDEX c_i ON c (i)"), "");
  const v1::MigrationRun run = Verify();
  EXPECT_EQ(run.with_findings(), 2);
  EXPECT_THAT(Found(run.id(), "t02"), Contains(AllOf(Code("drift-differs"), Object("column public.person.name"))));
  EXPECT_THAT(Found(run.id(), "t02"), Contains(AllOf(Code("drift-unexpected"), Object("table public.extra"))));
  EXPECT_THAT(Found(run.id(), ""), Contains(AllOf(Code("drift-unexpected"), Object("index public.c.c_i"))));
  EXPECT_THAT(Found(run.id(), "t01"), IsEmpty());
  EXPECT_THAT(Tasks(run.id(), /*with_findings=*/true), SizeIs(2));
}

TEST_F(LooksTest, AScratchDatabaseThatACrashLeftIsDropped) {
  AddTenants(1);
  const std::string id = Begin(Spec(v1::MIGRATION_KIND_VERIFY)).id();
  ASSERT_TRUE(rollout_->store().SetScratch(*rollout_->store().NumberOf(id), "0123456789abcdef").ok());
  postgres::Connection central = test_->Login();
  const auto files = MigrationsOf({{"0001_a.sql", kFirst}});
  TenantDatabase scratch(test_->instance(), *files, central,
                         {.tenant = std::nullopt, .database_id = "0123456789abcdef"});
  ASSERT_EQ(scratch.Run(TenantDatabase::Spare(), [] { return absl::OkStatus(); }), absl::OkStatus());
  Work();
  EXPECT_EQ(Get(id).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  EXPECT_EQ(test_->Ask("postgres", "SELECT count(*) FROM pg_database WHERE starts_with(datname, 'leasehold_new_')"),
            "0");
}

TEST_F(LooksTest, RepairShowsAndThenTakesOverAnEditedFile) {
  AddTenants(2);
  Restart({{"0001_a.sql", "-- a comment\nCREATE TABLE person (id int PRIMARY KEY, name text NOT NULL);"},
           {"0002_b.sql", kSecond}});
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_REPAIR);
  spec.mutable_selection()->set_without_central(true);
  spec.set_repair_file("0001_a.sql");
  spec.set_show_only(true);
  v1::MigrationRun run = RunToEnd(spec);
  EXPECT_THAT(Found(run.id(), "t01"), Contains(AllOf(Code("history-edited"), Object("0001_a.sql"))));
  EXPECT_EQ(Verify().with_findings(), 2) << "it was only shown";

  spec.set_show_only(false);
  spec.set_repair(v1::MIGRATION_REPAIR_FORGET);
  run = RunToEnd(spec);
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_FAILED);
  EXPECT_THAT(Tasks(run.id()).front().failure().message(), HasSubstr("applied a second time"));

  spec.set_repair(v1::MIGRATION_REPAIR_ACCEPT_FILE);
  run = RunToEnd(spec);
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << run.DebugString();
  ASSERT_THAT(Found(run.id(), "t01"), SizeIs(1));
  EXPECT_EQ(Found(run.id(), "t01").front().severity(), v1::MIGRATION_SEVERITY_NOTE);
  EXPECT_THAT(Found(run.id(), "t01").front().message(), AllOf(HasSubstr("was edited"), HasSubstr("agrees now")));
  EXPECT_EQ(Verify().with_findings(), 0);
  EXPECT_EQ(RunToEnd(Spec(v1::MIGRATION_KIND_APPLY)).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  EXPECT_EQ(CountMigrated(2), 2);
}

TEST_F(LooksTest, EachOfSeveralMismatchesIsRepairedByItself) {
  AddTenants(2);
  Restart({{"0001_a.sql", kFirst}, {"0002_b.sql", kSecond}, {"0004_d.sql", "CREATE TABLE d (i int);"}});
  ASSERT_EQ(RunToEnd(Spec(v1::MIGRATION_KIND_APPLY)).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  // Edited; renamed; come late, and done by hand; gone, and taken back by hand.
  Restart({{"0001_a.sql", "-- why\nCREATE TABLE person (id int PRIMARY KEY, name text NOT NULL);"},
           {"0002_born.sql", kSecond},
           {"0003_c.sql", "CREATE TABLE c (i int);"}});
  for (const char* tenant : {"t01", "t02"}) {
    ASSERT_EQ(In(tenant, "SET ROLE " + Database(tenant) + "; CREATE TABLE c (i int); DROP TABLE d"), "");
  }
  EXPECT_THAT(Found(Verify().id(), "t01"), AllOf(Contains(AllOf(Code("history-edited"), Object("0001_a.sql"))),
                                                 Contains(AllOf(Code("history-renamed"), Object("0002_born.sql"))),
                                                 Contains(AllOf(Code("history-late-file"), Object("0003_c.sql"))),
                                                 Contains(AllOf(Code("history-missing-file"), Object("0004_d.sql")))));
  int left = 4;
  const auto histories = [this](const std::string& id) {
    std::vector<v1::MigrationFinding> found = Found(id, "t02");
    std::erase_if(found, [](const auto& finding) { return !finding.code().starts_with("history-"); });
    return found;
  };
  for (const auto& [file, repair] :
       {std::pair("0003_c.sql", v1::MIGRATION_REPAIR_MARK_APPLIED),
        std::pair("0001_a.sql", v1::MIGRATION_REPAIR_ACCEPT_FILE), std::pair("0004_d.sql", v1::MIGRATION_REPAIR_FORGET),
        std::pair("0002_born.sql", v1::MIGRATION_REPAIR_ACCEPT_FILE)}) {
    EXPECT_EQ(RunToEnd(Spec(v1::MIGRATION_KIND_APPLY)).state(), v1::MIGRATION_RUN_STATE_STOPPED) << left << " are left";
    v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_REPAIR);
    spec.mutable_selection()->set_without_central(true);
    spec.set_repair_file(file);
    spec.set_repair(repair);
    EXPECT_EQ(RunToEnd(spec).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << file;
    EXPECT_THAT(histories(Verify().id()), SizeIs(--left)) << "after " << file;
  }
  EXPECT_EQ(Verify().with_findings(), 0);
  EXPECT_EQ(RunToEnd(Spec(v1::MIGRATION_KIND_APPLY)).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
}

TEST_F(LooksTest, RepairOfAFileThatNobodyHasFails) {
  AddTenants(2);
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_REPAIR);
  spec.set_repair_file("0001_nosuch.sql");
  spec.set_show_only(true);
  v1::MigrationRun run = RunToEnd(spec);
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_FAILED) << run.DebugString();
  EXPECT_THAT(run.message(), HasSubstr("neither the folder nor its history has a file 0001_nosuch.sql"));
  spec.set_repair_file("0001_a.sql");
  run = RunToEnd(spec);
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << "it is the tenants', and not the central database's";
  EXPECT_EQ(run.skipped(), 1);
}

TEST_F(LooksTest, NotesAreForWhoAsks) {
  AddTenants(1);
  EXPECT_THAT(RunToEnd(Spec(v1::MIGRATION_KIND_PREFLIGHT)).findings(), Contains(Code("disk-unknown")));
  EXPECT_THAT(RunToEnd(Spec(v1::MIGRATION_KIND_APPLY)).findings(), IsEmpty());
}

TEST_F(LooksTest, RepairForgetsAFileThatIsGone) {
  AddTenants(1);
  RunToEnd(Spec(v1::MIGRATION_KIND_APPLY));
  Restart({{"0001_a.sql", kFirst}});
  ASSERT_EQ(In("t01", "ALTER TABLE person DROP born"), "");
  EXPECT_THAT(Found(Verify().id(), "t01"), Contains(AllOf(Code("history-missing-file"), Object("0002_b.sql"))));
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_REPAIR);
  spec.mutable_selection()->add_tenants("t01");
  spec.set_repair_file("0002_b.sql");
  spec.set_repair(v1::MIGRATION_REPAIR_FORGET);
  EXPECT_EQ(RunToEnd(spec).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  EXPECT_EQ(Verify().with_findings(), 0);
}

TEST_F(LooksTest, RepairMarksAsAppliedWhatSomebodyDidByHand) {
  AddTenants(1);
  Restart({{"0001_a.sql", kFirst}, {"0003_c.sql", "CREATE TABLE c (i int);"}});
  RunToEnd(Spec(v1::MIGRATION_KIND_APPLY));
  ASSERT_EQ(In("t01", "SET ROLE tenant_t01_identity; ALTER TABLE person ADD born int"), "");
  Restart({{"0001_a.sql", kFirst}, {"0002_b.sql", kSecond}, {"0003_c.sql", "CREATE TABLE c (i int);"}});
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_REPAIR);
  spec.mutable_selection()->add_tenants("t01");
  spec.set_repair_file("0002_b.sql");
  spec.set_repair(v1::MIGRATION_REPAIR_MARK_APPLIED);
  EXPECT_EQ(RunToEnd(spec).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  EXPECT_EQ(Verify().with_findings(), 0);
}

}  // namespace
}  // namespace leasehold::provisioner
