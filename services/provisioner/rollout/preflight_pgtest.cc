// What is found before anything is written, kind by kind; looks_pgtest.cc has histories and locks.
#include "services/provisioner/rollout/findings.h"

#include "services/provisioner/rollout/rollout_fixture.h"

namespace leasehold::provisioner {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::ResultOf;

auto Code(const std::string& code) {
  return ResultOf([](const v1::MigrationFinding& finding) { return finding.code(); }, code);
}
auto InDatabase(const std::string& name) {
  return ResultOf([](const v1::MigrationFinding& finding) { return finding.database(); }, name);
}
auto Object(const std::string& part) {
  return ResultOf([](const v1::MigrationFinding& finding) { return finding.object(); }, HasSubstr(part));
}
auto Severity(v1::MigrationSeverity severity) {
  return ResultOf([](const v1::MigrationFinding& finding) { return finding.severity(); }, severity);
}
auto Remedy(const std::string& part) {
  return ResultOf([](const v1::MigrationFinding& finding) { return finding.remedy(); }, HasSubstr(part));
}

class PreflightTest : public RolloutFixture {
 protected:
  static void SetUpTestSuite() { StartInstance({"max_prepared_transactions=2"}); }

  std::vector<v1::MigrationFinding> OfFleet() {
    const v1::MigrationRun run = RunToEnd(Spec(v1::MIGRATION_KIND_PREFLIGHT));
    id_ = run.id();
    EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << run.DebugString();
    return {run.findings().begin(), run.findings().end()};
  }
  std::vector<v1::MigrationFinding> In01() {
    const v1::MigrationTask task = TaskOf(id_, "t01");
    return {task.findings().begin(), task.findings().end()};
  }

  std::string id_;  // of the last run
};

TEST_F(PreflightTest, AFleetThatIsAsItShouldBeHasNothingInTheWay) {
  AddTenants(1);
  ASSERT_EQ(test_->Ask("postgres", "GRANT pg_read_all_settings TO leasehold"), "");
  EXPECT_THAT(OfFleet(), Not(Contains(Code("disk-unknown")))) << "it may see where the data are";
  ASSERT_EQ(test_->Ask("postgres", "REVOKE pg_read_all_settings FROM leasehold"), "");
  EXPECT_THAT(OfFleet(), ElementsAre(Code("disk-unknown")));
  EXPECT_THAT(In01(), IsEmpty());
}

TEST_F(PreflightTest, TransactionsThatAreLongOrPreparedAreNamed) {
  AddTenants(2);
  const std::string name = RolloutFixture::Database("t01");
  ASSERT_EQ(In("t01", "BEGIN; INSERT INTO person VALUES (1, 'a'); PREPARE TRANSACTION 'stuck'"), "");
  postgres::Connection session(test_->instance().AsRole(name, name, DatabaseId("t01"), RoleKind::kOwner));
  ASSERT_TRUE(session.ExecAlone("BEGIN").ok());
  ASSERT_TRUE(session.ExecAlone("SELECT * FROM person").ok()) << "which an ALTER TABLE waits for";
  postgres::Connection central = test_->Login();
  const auto fleet = ListFleet(central, test_->instance());
  ASSERT_TRUE(fleet.ok()) << fleet.status();
  const FleetMigrations files = rollout_->files();
  const auto found =
      InspectFleet(central, test_->instance(), *fleet, files, 1, {.long_transaction = absl::ZeroDuration()});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(*found, Contains(AllOf(Code("long-transaction"), InDatabase(name), Object("session "),
                                     Remedy("pg_terminate_backend"))));
  EXPECT_THAT(*found, Contains(AllOf(Code("prepared-transaction"), InDatabase(name), Object("'stuck'"),
                                     Remedy("ROLLBACK PREPARED"))));
  EXPECT_THAT(*found, Not(Contains(InDatabase(RolloutFixture::Database("t02")))));
  const auto young = InspectFleet(central, test_->instance(), *fleet, files, 1);
  ASSERT_TRUE(young.ok()) << young.status();
  EXPECT_THAT(*young, Not(Contains(Code("long-transaction")))) << "it has just begun";
  ASSERT_TRUE(session.ExecAlone("ROLLBACK").ok());

  // Whoever applies hears of it too; it is no error before it really is in the way.
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_APPLY);
  spec.mutable_lock_timeout()->set_nanos(50'000'000);
  spec.set_lock_attempts(1);
  spec.set_failure_budget(1);
  const v1::MigrationRun run = RunToEnd(spec);
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_FAILED) << run.DebugString();
  EXPECT_THAT(run.findings(), Contains(AllOf(Code("prepared-transaction"), InDatabase(name))));
  EXPECT_EQ(TaskOf(run.id(), "t01").failure().sqlstate(), "55P03");
  EXPECT_TRUE(HasColumn("t02"));
  ASSERT_EQ(In("t01", "ROLLBACK PREPARED 'stuck'"), "");
}

TEST_F(PreflightTest, WhatTheOwnerMayNotDoIsNamed) {
  AddTenants(1);
  ASSERT_EQ(In("t01",
               "ALTER SCHEMA public OWNER TO postgres; REVOKE ALL ON SCHEMA public FROM PUBLIC, "
               "pg_database_owner, tenant_t01_identity"),
            "");
  OfFleet();
  EXPECT_THAT(In01(), Contains(AllOf(Code("privilege"), Severity(v1::MIGRATION_SEVERITY_ERROR), Object("schema public"),
                                     Remedy("GRANT CREATE ON SCHEMA public"))));
}

TEST_F(PreflightTest, AnExtensionThatOnlyASuperuserMayCreateIsNamed) {
  AddTenants(1);
  Restart({{"0001_a.sql", kFirst}, {"0002_b.sql", "CREATE EXTENSION IF NOT EXISTS file_fdw;"}});
  EXPECT_THAT(OfFleet(), Not(Contains(Code("extension")))) << "the server has it";
  EXPECT_THAT(In01(), Contains(AllOf(Code("extension"), Severity(v1::MIGRATION_SEVERITY_ERROR), Object("file_fdw"),
                                     Remedy("as a superuser"))));
  ASSERT_EQ(In("t01", "CREATE EXTENSION file_fdw"), "");
  OfFleet();
  EXPECT_THAT(In01(), IsEmpty()) << "the remedy";
}

TEST_F(PreflightTest, WhatTheLoginLacksAndTooFewConnectionsAreNamed) {
  AddTenants(1);
  ASSERT_EQ(test_->Ask("postgres", "ALTER ROLE leasehold NOCREATEDB"), "");
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_PREFLIGHT);
  spec.set_parallelism(64);
  const v1::MigrationRun run = RunToEnd(spec);
  ASSERT_EQ(test_->Ask("postgres", "ALTER ROLE leasehold CREATEDB"), "");
  EXPECT_THAT(run.findings(), Contains(AllOf(Code("privilege"), Severity(v1::MIGRATION_SEVERITY_WARNING),
                                             Object("role leasehold"), Remedy("CREATEDB"))));
  EXPECT_THAT(run.findings(), Contains(AllOf(Code("connections"), Object("max_connections"), Remedy("--parallelism"))));
}

TEST_F(PreflightTest, ADatabaseThatLetsNobodyInIsNamed) {
  AddTenants(2);
  ASSERT_EQ(test_->Ask("postgres", "ALTER ROLE tenant_t01_identity NOLOGIN"), "");
  ASSERT_EQ(test_->Ask("postgres", "ALTER DATABASE tenant_t02_identity ALLOW_CONNECTIONS false"), "");
  const v1::MigrationRun run = RunToEnd(Spec(v1::MIGRATION_KIND_APPLY));
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_STOPPED) << run.DebugString();
  for (const char* tenant : {"t01", "t02"}) {
    EXPECT_THAT(run.findings(), Contains(AllOf(Code("unreachable"), InDatabase(RolloutFixture::Database(tenant)))));
  }
}

TEST_F(PreflightTest, AServerThatIsTooOldIsNamed) {
  AddTenants(1);
  postgres::Connection central = test_->Login();
  const auto fleet = ListFleet(central, test_->instance());
  ASSERT_TRUE(fleet.ok()) << fleet.status();
  const FleetMigrations files = rollout_->files();
  // The server is held against a version that is yet to come.
  const auto found = InspectFleet(central, test_->instance(), *fleet, files, 1, {.oldest_server = 990000});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(*found, Contains(AllOf(Code("server-version"), Severity(v1::MIGRATION_SEVERITY_ERROR), Object("server"),
                                     Remedy("upgrade"))));
  const auto present = InspectFleet(central, test_->instance(), *fleet, files, 1);
  ASSERT_TRUE(present.ok()) << present.status();
  EXPECT_THAT(*present, Not(Contains(Code("server-version"))));
}

TEST_F(PreflightTest, AReadOnlyDefaultIsInNobodysWay) {
  AddTenants(2);
  ASSERT_EQ(test_->Ask("postgres", "ALTER DATABASE tenant_t01_identity SET default_transaction_read_only = on"), "");
  ASSERT_EQ(test_->Ask("postgres", "ALTER ROLE tenant_t02_identity SET default_transaction_read_only = on"), "");
  ASSERT_EQ(test_->Ask("postgres", "ALTER ROLE leasehold SET default_transaction_read_only = on"), "");
  const v1::MigrationRun run = RunToEnd(Spec(v1::MIGRATION_KIND_APPLY));
  ASSERT_EQ(test_->Ask("postgres", "ALTER ROLE leasehold RESET default_transaction_read_only"), "");
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << run.DebugString();
  EXPECT_EQ(CountMigrated(2), 2);
}

TEST(InspectDisk, TellsWhatIsLeft) {
  // There is never any room.
  EXPECT_THAT(InspectDisk("127.0.0.1", "/proc"),
              ElementsAre(AllOf(Code("disk"), Severity(v1::MIGRATION_SEVERITY_ERROR), Remedy("make room"))));
  for (const auto& [host, directory] :
       {std::pair("db.example", "/proc"), std::pair("127.0.0.1", ""), std::pair("127.0.0.1", "/no/such/folder")}) {
    EXPECT_THAT(InspectDisk(host, directory),
                ElementsAre(AllOf(Code("disk-unknown"), Severity(v1::MIGRATION_SEVERITY_NOTE))))
        << host << " " << directory;
  }
}

}  // namespace
}  // namespace leasehold::provisioner
