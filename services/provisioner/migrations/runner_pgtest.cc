#include "services/provisioner/migrations/runner.h"

#include <thread>

#include "absl/synchronization/notification.h"
#include "services/provisioner/migrations/runner_fixture.h"

namespace leasehold::provisioner {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RunnerTest : public RunnerFixture {};

TEST_F(RunnerTest, AppliesEachOnceInOrder) {
  EXPECT_EQ(Run({{"0001_a.sql", "CREATE TABLE a (i int);"}}), absl::OkStatus());
  EXPECT_EQ(result_.version, 1);
  const Files both = {{"0001_a.sql", "CREATE TABLE a (i int);"}, {"0003_b.sql", "INSERT INTO a VALUES (1)"}};
  EXPECT_EQ(Run(both), absl::OkStatus());
  EXPECT_THAT(result_.files, ElementsAre("0003_b.sql"));
  EXPECT_EQ(result_.digest, DigestOf(*MigrationsOf(both), 3));
  EXPECT_EQ(Run(both), absl::OkStatus());
  EXPECT_THAT(result_.files, IsEmpty());
  EXPECT_EQ(result_.version, 3);
  EXPECT_EQ(Ask("SELECT count(*) FROM a"), "1");
  EXPECT_EQ(Applied(), "0001_a.sql,0003_b.sql");
  EXPECT_EQ(Ask("SELECT bool_and(length(checksum) = 64) FROM leasehold.migrations"), "t");
}

TEST_F(RunnerTest, RefusesARewrittenPast) {
  ASSERT_EQ(Run({{"0001_a.sql", "CREATE TABLE a (i int);"}, {"0003_b.sql", "SELECT 1"}}), absl::OkStatus());
  const auto message = [&](Files files) {
    const absl::Status status = Run(files);
    EXPECT_EQ(ReasonOf(status), v1::REASON_MIGRATION_FAILED);
    return std::string(status.message());
  };
  EXPECT_THAT(message({{"0001_a.sql", "CREATE TABLE a (i bigint);"}, {"0003_b.sql", "SELECT 1"}}),
              HasSubstr("0001_a.sql was edited"));
  EXPECT_THAT(message({{"0003_b.sql", "SELECT 1"}}), HasSubstr("0001_a.sql was applied here and is missing"));
  EXPECT_THAT(message({{"0001_x.sql", "CREATE TABLE a (i int);"}, {"0003_b.sql", "SELECT 1"}}),
              HasSubstr("0001_x.sql was applied here under the name 0001_a.sql"));
  EXPECT_THAT(
      message({{"0001_a.sql", "CREATE TABLE a (i int);"}, {"0002_c.sql", "SELECT 1"}, {"0003_b.sql", "SELECT 1"}}),
      HasSubstr("0002_c.sql came after 0003_b.sql"));
}

TEST_F(RunnerTest, AFailureNamesFileLineStatementAndState) {
  const absl::Status status =
      Run({{"0001_a.sql", "CREATE TABLE a (i int);\nSELECT 1;\n\nINSERT INTO\n  nowhere VALUES ('secret');"}});
  EXPECT_EQ(ReasonOf(status), v1::REASON_MIGRATION_FAILED);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("0001_a.sql"), HasSubstr("line 5"), HasSubstr("42P01")));
  ASSERT_TRUE(result_.failure.has_value());
  EXPECT_EQ(result_.failure->statement, 3);
  EXPECT_EQ(result_.failure->sqlstate, "42P01");
  EXPECT_THAT(result_.failure->text, HasSubstr("nowhere"));
  EXPECT_EQ(result_.version, 0);
  EXPECT_EQ(Ask("SELECT to_regclass('a')"), "") << "all or nothing";
  EXPECT_EQ(Ask("SELECT count(*) FROM leasehold.migrations"), "0");
}

TEST_F(RunnerTest, ASyntaxErrorIsFoundBeforeAnythingRuns) {
  const absl::Status status = Run({{"0001_a.sql", "SELECT 'ä'; -- first\nSELECT 1 / 0;\nSELECT 1,\n  'ü' FORM a;"}});
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("line 4, statement 3"), HasSubstr("42601")));
  EXPECT_THAT(result_.failure->text, HasSubstr("FORM a"));
  EXPECT_EQ(result_.version, 0);
}

TEST_F(RunnerTest, StatementsMayEndInACommentAndAnswer) {
  EXPECT_EQ(Run({{"0001_a.sql",
                  "SELECT 1 -- one\n;CREATE TABLE a (i int) /* two */;\nSELECT generate_series(1, 100);\n"
                  "COPY (SELECT 1) TO STDOUT;\nINSERT INTO a VALUES (1) -- no semicolon"}}),
            absl::OkStatus());
  EXPECT_EQ(Ask("SELECT count(*) FROM a"), "1");
  EXPECT_EQ(Applied(), "0001_a.sql");
}

TEST_F(RunnerTest, AConstraintThatFailsAtCommitFailsTheFile) {
  const absl::Status status = Run({{"0001_a.sql",
                                    "CREATE TABLE a (i int UNIQUE DEFERRABLE INITIALLY DEFERRED);\n"
                                    "INSERT INTO a VALUES (1), (1);"}});
  EXPECT_EQ(ReasonOf(status), v1::REASON_MIGRATION_FAILED) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("23505"));
  EXPECT_EQ(Run({{"0001_a.sql", "CREATE TABLE a (i int UNIQUE);"}}), absl::OkStatus()) << "and it may be mended";
}

TEST_F(RunnerTest, GoOnIsAskedBeforeEachFile) {
  int asked = 0;
  options_.go_on = [&asked] { return ++asked == 1 ? absl::OkStatus() : Error(v1::REASON_SHUTTING_DOWN, "stopping"); };
  EXPECT_EQ(ReasonOf(Run({{"0001_a.sql", "SELECT 1"}, {"0002_b.sql", "SELECT 2"}})), v1::REASON_SHUTTING_DOWN);
  EXPECT_EQ(Applied(), "0001_a.sql");
  EXPECT_EQ(result_.version, 1);
}

TEST_F(RunnerTest, ALockThatIsHeldForAWhileIsWaitedForInShortTurns) {
  ASSERT_EQ(Run({{"0001_a.sql", "CREATE TABLE a (i int);"}}), absl::OkStatus());
  postgres::Connection holder = Owner();
  options_.lock_timeout = absl::Milliseconds(30);
  int rounds = 0;
  options_.go_on = [&] {
    // Enough for two attempts to have failed; then the holder ends.
    if (++rounds == 4) {
      EXPECT_EQ(holder.ExecAlone("ROLLBACK").status(), absl::OkStatus());
    }
    return absl::OkStatus();
  };
  ASSERT_EQ(holder.ExecAlone("BEGIN").status(), absl::OkStatus());
  ASSERT_EQ(holder.ExecAlone("SELECT * FROM a").status(), absl::OkStatus());
  EXPECT_EQ(Run({{"0001_a.sql", "CREATE TABLE a (i int);"}, {"0002_b.sql", "ALTER TABLE a ADD j int"}}),
            absl::OkStatus());
  EXPECT_GT(result_.attempts, 1);
  EXPECT_FALSE(result_.failure.has_value());
}

TEST_F(RunnerTest, ALockThatIsNeverToBeHadFails) {
  ASSERT_EQ(Run({{"0001_a.sql", "CREATE TABLE a (i int);"}}), absl::OkStatus());
  postgres::Connection holder = Owner();
  ASSERT_EQ(holder.ExecAlone("BEGIN").status(), absl::OkStatus());
  ASSERT_EQ(holder.ExecAlone("LOCK TABLE a").status(), absl::OkStatus());
  options_.lock_timeout = absl::Milliseconds(20);
  options_.lock_attempts = 3;
  const absl::Status status =
      Run({{"0001_a.sql", "CREATE TABLE a (i int);"}, {"0002_b.sql", "ALTER TABLE a ADD j int"}});
  EXPECT_THAT(std::string(status.message()), HasSubstr("55P03"));
  EXPECT_EQ(result_.attempts, 3);
  EXPECT_EQ(Applied(), "0001_a.sql");
}

TEST_F(RunnerTest, AStatementThatTakesTooLongFails) {
  options_.statement_timeout = absl::Milliseconds(20);
  const absl::Status status = Run({{"0001_a.sql", "SELECT pg_sleep(60)"}});
  EXPECT_THAT(std::string(status.message()), HasSubstr("57014"));
  EXPECT_EQ(result_.attempts, 1) << "it would take as long again";
}

TEST_F(RunnerTest, AFullDiskIsAFailureLikeOthersAndLeavesNothing) {
  // What the server says then; the connection stays.
  const absl::Status status = Run({{"0001_a.sql",
                                    "CREATE TABLE a (i int);\nDO $$ BEGIN RAISE EXCEPTION 'could not extend file: No "
                                    "space left on device' USING ERRCODE = 'disk_full'; END $$"}});
  EXPECT_FALSE(postgres::IsConnectionFailure(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("53100"));
  EXPECT_EQ(result_.version, 0);
  EXPECT_EQ(Ask("SELECT to_regclass('a')"), "");
}

TEST_F(RunnerTest, TwoRunnersApplyAFileOnce) {
  const auto files = MigrationsOf(
      {{"0001_a.sql", "CREATE TABLE a (i int);"}, {"0002_b.sql", "SELECT pg_sleep(0.2); INSERT INTO a VALUES (1)"}});
  ASSERT_TRUE(files.ok());
  std::vector<MigrateResult> results(4);
  std::vector<absl::Status> statuses(4);
  {
    std::vector<std::jthread> runners;
    for (size_t i = 0; i < results.size(); ++i) {
      runners.emplace_back([&, i] {
        postgres::Connection owner = Owner();
        statuses[i] = Migrate(owner, secret_, *files, options_, results[i]);
      });
    }
  }
  size_t applied = 0;
  for (size_t i = 0; i < results.size(); ++i) {
    EXPECT_EQ(statuses[i], absl::OkStatus());
    applied += results[i].files.size();
  }
  EXPECT_EQ(applied, 2u);
  EXPECT_EQ(Ask("SELECT count(*) FROM a"), "1");
}

TEST_F(RunnerTest, ARunnerThatFindsAnotherAtWorkGivesUpInTheEnd) {
  postgres::Connection other = Owner();
  ASSERT_EQ(other.ExecAlone("SELECT pg_advisory_lock(1818783079)").status(), absl::OkStatus());
  options_.runner_patience = absl::Milliseconds(60);
  EXPECT_THAT(std::string(Run({{"0001_a.sql", "SELECT 1"}}).message()), HasSubstr("another runner"));
  EXPECT_EQ(Applied(), "");
}

TEST_F(RunnerTest, AConnectionLostInTheMiddleLeavesNothingAndIsNotReplaced) {
  const absl::Status status =
      Run({{"0001_a.sql", "CREATE TABLE a (i int); SELECT pg_terminate_backend(pg_backend_pid())"}});
  EXPECT_TRUE(postgres::IsConnectionFailure(status)) << status;
  EXPECT_FALSE(result_.version.has_value());
  EXPECT_EQ(Ask("SELECT count(*) FROM leasehold.migrations"), "0");
  EXPECT_EQ(Ask("SELECT to_regclass('a')"), "");
  EXPECT_EQ(Run({{"0001_a.sql", "CREATE TABLE a (i int)"}}), absl::OkStatus());
}

TEST_F(RunnerTest, WithoutTheRightSecretNothingIsWritten) {
  const Secret other("somebody else's");
  postgres::Connection owner = Owner();
  const auto files = MigrationsOf({{"0001_a.sql", "CREATE TABLE a (i int)"}});
  EXPECT_FALSE(Migrate(owner, other, *files, options_, result_).ok());
  EXPECT_TRUE(result_.unprepared);
  EXPECT_EQ(Ask("SELECT to_regclass('a')"), "");
  EXPECT_THAT(Ask("SELECT leasehold.record_applied(7, 'x', 'y', '', 'made up')"), HasSubstr("23502"));
  EXPECT_THAT(Ask("SELECT leasehold.record_applied(7, 'x', 'y', '', NULL)"), HasSubstr("23502"));
  EXPECT_EQ(Ask("SELECT leasehold.undo_migration(7, NULL)"), "f");
  EXPECT_EQ(Ask("SELECT leasehold.note_migration(7, 'x', 'y', '', 1, 0, true, '')"), "f");
  EXPECT_EQ(Ask("SELECT count(*) FROM leasehold.migrations"), "0");
}

TEST_F(RunnerTest, AnotherSecretTakesTheOldOnesPlace) {
  const Secret renewed("of another role key");
  postgres::Connection keeper = test_->Login(database_);
  ASSERT_EQ(PrepareHistory(keeper, "postgres", renewed), absl::OkStatus());
  postgres::Connection owner = Owner();
  const auto files = MigrationsOf({{"0001_a.sql", "CREATE TABLE a (i int)"}});
  EXPECT_FALSE(Migrate(owner, secret_, *files, options_, result_).ok());
  result_ = MigrateResult();
  postgres::Connection again = Owner();
  EXPECT_EQ(Migrate(again, renewed, *files, options_, result_), absl::OkStatus());
  EXPECT_EQ(Applied(), "0001_a.sql");
  EXPECT_EQ(AskOver(keeper, "SELECT current_setting('leasehold.history_secret', true)"), "");
}

TEST_F(RunnerTest, ATokenIsOfOneTransaction) {
  const auto files = MigrationsOf({{"0001_a.sql", "SELECT 1"}});
  const std::string elsewhere = RecordStatement(secret_, Ask("SELECT pg_current_xact_id()"), files->front(), "");
  EXPECT_THAT(Ask(elsewhere), HasSubstr("23502"));
  EXPECT_EQ(Applied(), "");
}

TEST_F(RunnerTest, NothingOfATenantsOwnIsUsedByTheFunctions) {
  ASSERT_EQ(Ask("DROP SCHEMA leasehold CASCADE"), "");
  ASSERT_EQ(Ask("CREATE FUNCTION public.concat_ws(text, text, int, text, text, text) RETURNS text LANGUAGE sql AS "
                "$$SELECT 'planted'$$; CREATE FUNCTION public.encode(bytea, text) RETURNS text LANGUAGE sql AS "
                "$$SELECT 'planted'$$"),
            "");
  ASSERT_EQ(Prepare(), absl::OkStatus());
  EXPECT_EQ(Run({{"0001_a.sql", "SELECT 1"}, {"0002_b.sql", "-- leasehold: no-transaction\nVACUUM"}}),
            absl::OkStatus());
}

TEST_F(RunnerTest, AHistoryOfTheOlderLayoutIsTakenOver) {
  ASSERT_EQ(Ask("DROP SCHEMA leasehold CASCADE"), "");
  postgres::Connection keeper = test_->Login(database_);
  ASSERT_EQ(
      AskOver(keeper,
              "CREATE SCHEMA leasehold; CREATE TABLE leasehold.migrations (version int PRIMARY KEY, name text NOT "
              "NULL, checksum text NOT NULL, applied_at timestamptz, transaction xid8 NOT NULL)"),
      "");
  // A crash between the owner's commit and the note of it, which is what the older layout was for.
  ASSERT_EQ(Ask("CREATE TABLE a (i int); INSERT INTO leasehold.migrations SELECT 1, '0001_a.sql', "
                "encode(sha256('CREATE TABLE a (i int);'), 'hex'), NULL, pg_current_xact_id()"),
            "");
  EXPECT_FALSE(Run({{"0001_a.sql", "CREATE TABLE a (i int);"}}).ok());
  EXPECT_TRUE(result_.unprepared);
  postgres::Connection running = Owner();
  ASSERT_EQ(running.ExecAlone("BEGIN").status(), absl::OkStatus());
  const auto id = running.ExecAlone("SELECT pg_current_xact_id()::text");
  ASSERT_TRUE(id.ok());
  ASSERT_EQ(AskOver(keeper, std::format("INSERT INTO leasehold.migrations VALUES (2, '0002_b.sql', 'x', NULL, '{}')",
                                        (*id)[0][0].as<std::string>())),
            "");
  ASSERT_EQ(Prepare(), absl::OkStatus());
  EXPECT_EQ(Applied(), "0001_a.sql");
  EXPECT_THAT(std::string(Run({{"0001_a.sql", "CREATE TABLE a (i int);"}}).message()), HasSubstr("still running"));
  ASSERT_EQ(running.ExecAlone("ROLLBACK").status(), absl::OkStatus());
  ASSERT_EQ(Prepare(), absl::OkStatus());
  EXPECT_EQ(Run({{"0001_a.sql", "CREATE TABLE a (i int);"}}), absl::OkStatus());
}

TEST_F(RunnerTest, ADryRunTellsAndLeavesNothing) {
  ASSERT_EQ(Run({{"0001_a.sql", "CREATE TABLE a (i int);"}}), absl::OkStatus());
  EXPECT_EQ(Try({{"0001_a.sql", "CREATE TABLE a (i int);"},
                 {"0002_b.sql", "ALTER TABLE a ADD j int"},
                 {"0003_c.sql", "INSERT INTO a (j) VALUES (1)"}}),
            absl::OkStatus());
  EXPECT_THAT(result_.files, ElementsAre("0002_b.sql", "0003_c.sql"));
  EXPECT_EQ(Ask("SELECT count(*) FROM pg_attribute WHERE attrelid = 'a'::regclass AND attname = 'j'"), "0");
  EXPECT_EQ(Applied(), "0001_a.sql");

  const absl::Status bad = Try({{"0001_a.sql", "CREATE TABLE a (i int);"},
                                {"0002_b.sql", "ALTER TABLE a ADD j int"},
                                {"0003_c.sql", "INSERT INTO a (k) VALUES (1)"}});
  EXPECT_THAT(std::string(bad.message()), AllOf(HasSubstr("0003_c.sql"), HasSubstr("42703")));
  const absl::Status late = Try({{"0001_a.sql", "CREATE TABLE a (i int);"},
                                 {"0002_b.sql",
                                  "CREATE TABLE b (i int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT "
                                  "INTO b VALUES (1), (1)"}});
  EXPECT_THAT(std::string(late.message()), HasSubstr("23505")) << "what only the commit would have shown";
}

TEST_F(RunnerTest, ADryRunTriesFilesWithoutATransactionAndWhatComesAfter) {
  constexpr std::string_view kFirst = "CREATE TABLE a (i int); INSERT INTO a VALUES (1), (1)";
  EXPECT_EQ(Try({{"0001_a.sql", kFirst},
                 {"0002_b.sql", "-- leasehold: no-transaction\nCREATE INDEX CONCURRENTLY a_i ON a (i); VACUUM a;"},
                 {"0003_c.sql", "-- leasehold: no-transaction\nDROP INDEX CONCURRENTLY a_i"},
                 {"0004_d.sql", "ALTER TABLE a ADD j int"}}),
            absl::OkStatus());
  EXPECT_THAT(result_.files, ElementsAre("0001_a.sql", "0003_c.sql", "0004_d.sql"));
  EXPECT_THAT(result_.skipped, ElementsAre("0002_b.sql")) << "not its VACUUM";
  EXPECT_EQ(Ask("SELECT to_regclass('a') IS NULL"), "t");

  const absl::Status twice = Try({{"0001_a.sql", kFirst},
                                  {"0002_b.sql",
                                   "-- leasehold: no-transaction\nANALYZE a;\n"
                                   "CREATE UNIQUE INDEX CONCURRENTLY a_i ON a (i)"}});
  EXPECT_THAT(std::string(twice.message()), AllOf(HasSubstr("0002_b.sql failed at line 3"), HasSubstr("23505")));
  EXPECT_EQ(result_.failure->reason, "could not create unique index \"a_i\"");
}

TEST_F(RunnerTest, ADryRunEndsWhereOneTransactionIsNotEnough) {
  EXPECT_EQ(Try({{"0001_a.sql", "CREATE TYPE mood AS ENUM ('good')"}, {"0002_b.sql", "SELECT 1"}}), absl::OkStatus());
  ASSERT_EQ(Run({{"0001_a.sql", "CREATE TYPE mood AS ENUM ('good')"}}), absl::OkStatus());
  EXPECT_EQ(Try({{"0001_a.sql", "CREATE TYPE mood AS ENUM ('good')"},
                 {"0002_b.sql", "ALTER TYPE mood ADD VALUE 'bad'"},
                 {"0003_c.sql", "CREATE TABLE a (m mood DEFAULT 'bad')"},
                 {"0004_d.sql", "SELECT 1"}}),
            absl::OkStatus());
  EXPECT_THAT(result_.files, ElementsAre("0002_b.sql"));
  EXPECT_THAT(result_.skipped, ElementsAre("0003_c.sql", "0004_d.sql"));
  EXPECT_EQ(result_.failure, std::nullopt);

  EXPECT_EQ(Try({{"0001_a.sql", "CREATE TYPE mood AS ENUM ('good')"},
                 {"0002_b.sql", "-- leasehold: no-transaction\nALTER SYSTEM SET work_mem = '4MB'"},
                 {"0003_c.sql", "SELECT 1"}}),
            absl::OkStatus());
  EXPECT_THAT(result_.skipped, ElementsAre("0002_b.sql", "0003_c.sql"));
}

TEST_F(RunnerTest, ADryRunKeepsNoWritersWaitingForAnIndex) {
  ASSERT_EQ(Ask("CREATE TABLE a (i int); INSERT INTO a SELECT generate_series(1, 200000)"), "");
  options_.longest_trial = absl::Milliseconds(1);
  EXPECT_EQ(Try({{"0001_a.sql", "-- leasehold: no-transaction\nCREATE INDEX CONCURRENTLY a_i ON a (i)"},
                 {"0002_b.sql", "DROP INDEX a_i"}}),
            absl::OkStatus());
  EXPECT_THAT(result_.skipped, ElementsAre("0001_a.sql", "0002_b.sql"));
  EXPECT_THAT(result_.files, IsEmpty());
}

TEST_F(RunnerTest, ADryRunLeavesWhatWasInterruptedAlone) {
  const Files files = {{"0001_a.sql", "CREATE TABLE a (i int);"},
                       {"0002_b.sql", "-- leasehold: no-transaction\nCREATE INDEX CONCURRENTLY a_i ON a (i)"},
                       {"0003_c.sql", "SELECT 1"}};
  ASSERT_EQ(Run({{"0001_a.sql", "CREATE TABLE a (i int);"}}), absl::OkStatus());
  const auto migrations = MigrationsOf(files);
  ASSERT_EQ(Ask(std::format("INSERT INTO leasehold.migrations (version, name, checksum, done, begun) VALUES "
                            "(2, '0002_b.sql', '{}', 0, 1)",
                            (*migrations)[1].checksum)),
            "");
  EXPECT_EQ(Try(files), absl::OkStatus());
  EXPECT_THAT(result_.skipped, ElementsAre("0002_b.sql", "0003_c.sql"));
}

TEST_F(RunnerTest, UndoTakesBackWhatTheRunApplied) {
  const Files files = {{"0001_a.sql", "CREATE TABLE a (i int);"},
                       {"0002_b.sql", "CREATE TABLE b (i int)"},
                       {"0002_b.down.sql", "DROP TABLE b"},
                       {"0003_c.sql", "CREATE TABLE c (i int)"},
                       {"0003_c.down.sql", "DROP TABLE c; SELECT 1"}};
  ASSERT_EQ(Run({{"0001_a.sql", "CREATE TABLE a (i int);"}}), absl::OkStatus());
  options_.run = "7";
  ASSERT_EQ(Run(files), absl::OkStatus());
  EXPECT_EQ(TakeBack(files, "8"), absl::OkStatus());
  EXPECT_THAT(result_.files, IsEmpty());
  EXPECT_EQ(TakeBack(files, "7"), absl::OkStatus());
  EXPECT_THAT(result_.files, ElementsAre("0003_c.down.sql", "0002_b.down.sql"));
  EXPECT_EQ(result_.version, 1);
  EXPECT_EQ(Ask("SELECT to_regclass('b') IS NULL AND to_regclass('c') IS NULL"), "t");
  EXPECT_EQ(Applied(), "0001_a.sql");
  EXPECT_EQ(Run(files), absl::OkStatus()) << "and it can be applied again";
}

TEST_F(RunnerTest, UndoRefusesBeforeItBegins) {
  const Files files = {{"0001_a.sql", "CREATE TABLE a (i int);"},
                       {"0002_b.sql", "CREATE TABLE b (i int)"},
                       {"0002_b.down.sql", "DROP TABLE b"}};
  options_.run = "7";
  ASSERT_EQ(Run(files), absl::OkStatus());
  EXPECT_THAT(std::string(TakeBack(files, "7").message()), HasSubstr("0001_a.sql has no down file"));
  EXPECT_EQ(Applied(), "0001_a.sql,0002_b.sql");

  options_.run = "8";
  const Files more = {{"0001_a.sql", "CREATE TABLE a (i int);"},
                      {"0001_a.down.sql", "DROP TABLE a"},
                      {"0002_b.sql", "CREATE TABLE b (i int)"},
                      {"0002_b.down.sql", "DROP TABLE b"},
                      {"0003_c.sql", "SELECT 1"}};
  ASSERT_EQ(Run(more), absl::OkStatus());
  EXPECT_THAT(std::string(TakeBack(more, "7").message()), HasSubstr("0003_c.sql was applied after 0002_b.sql"));
}

TEST_F(RunnerTest, AnUndoThatFailsLeavesTheMigrationApplied) {
  const Files files = {{"0001_a.sql", "CREATE TABLE a (i int);"}, {"0001_a.down.sql", "DROP TABLE a; DROP TABLE b"}};
  options_.run = "7";
  ASSERT_EQ(Run(files), absl::OkStatus());
  EXPECT_THAT(std::string(TakeBack(files, "7").message()), AllOf(HasSubstr("0001_a.down.sql"), HasSubstr("42P01")));
  EXPECT_EQ(Applied(), "0001_a.sql");
  EXPECT_EQ(Ask("SELECT to_regclass('a')"), "a");
}

}  // namespace
}  // namespace leasehold::provisioner
