#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status/error.h"
#include "services/cli/migrate_flags.h"
#include "services/cli/migrate_watch.h"
#include "services/cli/show_migration.h"

namespace leasehold::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);
const Terminal kPlain;

v1::MigrationRun ARun(int done, int failed, int total) {
  v1::MigrationRun run;
  run.set_id("identity.7");
  run.mutable_spec()->set_kind(v1::MIGRATION_KIND_APPLY);
  run.set_state(v1::MIGRATION_RUN_STATE_RUNNING);
  run.set_done(done);
  run.set_failed(failed);
  run.set_total(total);
  run.set_pending(total - done - failed);
  run.set_wave(2);
  run.set_waves(3);
  return run;
}

TEST(MigrationLine, SaysHowFarHowFastAndHowLong) {
  EXPECT_EQ(MigrationLine(ARun(118, 2, 300), 40, 120),
            "apply identity.7  [########------------] 120/300  wave 2/3  40/s  5s left  2 failed");
  EXPECT_THAT(MigrationLine(ARun(0, 0, 300), 0, 120), Not(HasSubstr("left")));
  EXPECT_EQ(MigrationLine(ARun(118, 2, 300), 40, 40).size(), 39u);
}

TEST(MigrationRate, IsOfWhatWasSeen) {
  MigrationRate rate;
  rate.See(ARun(100, 0, 300), kNow);
  EXPECT_EQ(rate.per_second(), 0);
  rate.See(ARun(150, 10, 300), kNow + absl::Seconds(2));
  EXPECT_DOUBLE_EQ(rate.per_second(), 30);
}

TEST(TellsAtInterrupt, SaysThatTheRunGoesOnAndEnds) {
  EXPECT_EXIT(
      {
        const TellsAtInterrupt telling("identity.7");
        raise(SIGINT);
      },
      ::testing::KilledBySignal(SIGINT),
      "run identity.7 goes on; leasehold migrate watch identity.7 follows it, leasehold migrate cancel identity.7 "
      "ends");
}

TEST(ShowRun, NamesFailuresAndFindings) {
  v1::MigrationRun run = ARun(2, 1, 3);
  run.set_state(v1::MIGRATION_RUN_STATE_FAILED);
  run.set_message("1 database failed");
  v1::MigrationTask task;
  task.set_database("tenant_acme_identity");
  task.set_state(v1::MIGRATION_TASK_STATE_FAILED);
  task.mutable_failure()->set_file("0003_c.sql");
  task.mutable_failure()->set_line(5);
  task.mutable_failure()->set_statement(3);
  task.mutable_failure()->set_sqlstate("23505");
  task.mutable_failure()->set_text("CREATE UNIQUE INDEX one\n ON person (name)");
  v1::MigrationFinding& finding = *task.add_findings();
  finding.set_severity(v1::MIGRATION_SEVERITY_WARNING);
  finding.set_object("half on person");
  finding.set_remedy("REINDEX");
  EXPECT_THAT(
      ShowRun(run, {task}, {kPlain, kNow}),
      AllOf(HasSubstr("run identity.7 (apply) failed: 2 done, 1 failed of 3; 1 database failed"),
            HasSubstr("tenant_acme_identity: 0003_c.sql line 5, statement 3 (23505): CREATE UNIQUE INDEX one  ON"),
            HasSubstr("half on person"), HasSubstr("REINDEX")));
}

TEST(ShowRun, SaysOnceWhatIsTheSameInSeveralDatabases) {
  v1::MigrationRun run = ARun(0, 5, 5);
  run.set_state(v1::MIGRATION_RUN_STATE_FAILED);
  std::vector<v1::MigrationTask> tasks;
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    v1::MigrationTask& task = tasks.emplace_back();
    task.set_database(name);
    task.set_state(v1::MIGRATION_TASK_STATE_FAILED);
    task.mutable_failure()->set_file("0003_c.sql");
    task.mutable_failure()->set_sqlstate("42703");
    task.mutable_failure()->set_text(name[0] == 'b' ? "another" : "SELECT nme");
    task.mutable_failure()->set_reason("column \"nme\" does not exist");
    v1::MigrationFinding& finding = *task.add_findings();
    finding.set_database(name);
    finding.set_object("0001_a.sql");
    finding.set_message("was edited");
  }
  const std::string shown = ShowRun(run, tasks, {kPlain, kNow});
  EXPECT_THAT(shown, HasSubstr("\n  4 databases: 0003_c.sql (42703): column \"nme\" does not exist: "
                               "SELECT nme\n    a, c, d, e\n  b: 0003_c.sql"));
  EXPECT_THAT(shown, HasSubstr("a, b, c and 2 more  0001_a.sql  was edited"));
}

TEST(ShowMigrationStatus, SaysThatTheFolderCannotBeRead) {
  v1::MigrationStatus status;
  status.set_files_error("migrations is '0003_b.sql'; allowed: one file for each number");
  EXPECT_THAT(ShowMigrationStatus(status, false, {kPlain, kNow}),
              HasSubstr("the files cannot be read as they are now: migrations is '0003_b.sql'"));
}

TEST(ShowMigrationStatus, ListsWhoIsBehind) {
  v1::MigrationStatus status;
  status.set_service("identity");
  status.set_total(2);
  status.set_behind(1);
  v1::DatabaseVersion& behind = *status.add_databases();
  behind.set_database("tenant_acme_identity");
  behind.set_version(2);
  behind.set_pending(1);
  status.add_databases()->set_database("tenant_globex_identity");
  EXPECT_THAT(ShowMigrationStatus(status, false, {kPlain, kNow}),
              AllOf(HasSubstr("identity: 2 databases, 1 behind"), HasSubstr("acme"), Not(HasSubstr("globex"))));
  EXPECT_THAT(ShowMigrationStatus(status, true, {kPlain, kNow}), HasSubstr("globex"));
}

TEST(ShowMigrationStatus, NamesWhatWasNeverComplete) {
  v1::MigrationStatus status;
  status.set_service("identity");
  v1::DatabaseVersion& unfinished = *status.add_databases();
  unfinished.set_database("tenant_acme_identity");
  unfinished.set_tenant("acme");
  unfinished.set_unfinished(true);
  EXPECT_THAT(ShowMigrationStatus(status, false, {kPlain, kNow}),
              AllOf(Not(HasSubstr("1 not complete")), HasSubstr("not complete: leasehold tenant get acme")));
  status.set_unfinished(1);
  EXPECT_THAT(ShowMigrationStatus(status, false, {kPlain, kNow}), HasSubstr("0 differ, 1 not complete; newest"));
}

TEST(SpecFlags, WhatIsSaidOfAFieldNamesTheOption) {
  EXPECT_EQ(AsTyped(InvalidField("spec.selection.tenants", "[", "globs")).message(), "--tenant is '['; allowed: globs");
  EXPECT_EQ(AsTyped(InvalidField("spec.canary.settings", "a=b", "x")).message(), "--canary-where is 'a=b'; allowed: x");
  EXPECT_EQ(AsTyped(InvalidField("spec.lock_timeout", "0", "1ms to 24h")).message(),
            "--lock-timeout is '0'; allowed: 1ms to 24h");
  EXPECT_EQ(AsTyped(InvalidField("service", "_", "names")).message(), "service is '_'; allowed: names");
  EXPECT_EQ(AsTyped(absl::InternalError("as it is")).message(), "as it is");
}

TEST(SpecFlags, AZeroIsSentAndNothingIsNot) {
  CLI::App app;
  SpecFlags flags;
  flags.AddPace(app);
  app.parse("--lock-timeout 0s");
  const v1::MigrationSpec spec = flags.Spec(v1::MIGRATION_KIND_APPLY);
  EXPECT_TRUE(spec.has_lock_timeout());
  EXPECT_FALSE(spec.has_statement_timeout());
}

TEST(ShowPlan, ListsStatementsAndDatabases) {
  v1::MigrationPlan plan;
  EXPECT_EQ(ShowPlan(plan, {kPlain, kNow}), "every database is at the newest version\n");
  v1::MigrationFile& file = *plan.add_files();
  file.set_tenant(true);
  file.set_name("0002_b.sql");
  file.add_statements("ALTER TABLE a\nADD j int");
  v1::PlannedDatabase& database = *plan.add_databases();
  database.set_database("tenant_acme_identity");
  database.add_files("0002_b.sql");
  EXPECT_THAT(ShowPlan(plan, {kPlain, kNow}),
              AllOf(HasSubstr("tenant/0002_b.sql  (no transaction)\n  ALTER TABLE a\n  ADD j int;"),
                    HasSubstr("tenant_acme_identity")));
}

TEST(ShowPlan, SaysWhatApplyWouldStopAt) {
  v1::MigrationPlan plan;
  v1::MigrationFinding& finding = *plan.add_findings();
  finding.set_severity(v1::MIGRATION_SEVERITY_ERROR);
  finding.set_database("tenant_acme_identity");
  finding.set_object("0001_a.sql");
  finding.set_message("was edited");
  EXPECT_THAT(ShowPlan(plan, {kPlain, kNow}),
              AllOf(Not(HasSubstr("newest version")), HasSubstr("no file is pending"),
                    HasSubstr("what apply would stop at"), HasSubstr("0001_a.sql  was edited")));
  v1::MigrationFinding& warning = *plan.add_findings();
  warning.set_severity(v1::MIGRATION_SEVERITY_WARNING);
  warning.set_object("0002_empty.sql");
  warning.set_message("holds no statement");
  plan.add_files()->set_name("0002_empty.sql");
  plan.add_databases()->set_database("tenant_acme_identity");
  EXPECT_THAT(ShowPlan(plan, {kPlain, kNow}),
              AllOf(HasSubstr("0002_empty.sql  (no transaction)  (no statements)"), HasSubstr("worth a look before:"),
                    HasSubstr("0002_empty.sql  holds no statement"), HasSubstr("was edited")));
  plan.mutable_findings()->DeleteSubrange(0, 1);
  EXPECT_THAT(ShowPlan(plan, {kPlain, kNow}), Not(HasSubstr("stop at")));
}

TEST(ShowPlan, SaysHowManyStatementsAreNotShown) {
  v1::MigrationPlan plan;
  v1::MigrationFile& file = *plan.add_files();
  file.add_statements("SELECT 1");
  file.set_statement_count(1'000);
  v1::MigrationFile& late = *plan.add_files();
  late.set_statement_count(2);
  plan.add_databases();
  EXPECT_THAT(ShowPlan(plan, {kPlain, kNow}),
              AllOf(HasSubstr("  SELECT 1;\n  … and 999 more statements\n"), HasSubstr("  … and 2 more statements\n"),
                    Not(HasSubstr("no statements"))));
}

}  // namespace
}  // namespace leasehold::cli
