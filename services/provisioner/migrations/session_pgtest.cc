// What a file does to the session that it runs on: to its own record, and to the files after it.
#include "services/provisioner/migrations/attempt.h"
#include "services/provisioner/migrations/runner_fixture.h"

namespace leasehold::provisioner {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class SessionTest : public RunnerFixture {};

constexpr std::string_view kReadOnly =
    "CREATE TABLE a (i int);\nSELECT pg_catalog.set_config('transaction_read_only', 'on', true);";

TEST_F(SessionTest, AFileThatCannotBeRecordedIsNamed) {
  const Files files = {{"0001_a.sql", kReadOnly}};
  for (const bool dry : {false, true}) {
    const absl::Status status = dry ? Try(files) : Run(files);
    EXPECT_EQ(ReasonOf(status), v1::REASON_MIGRATION_FAILED) << status;
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("0001_a.sql"), HasSubstr("line 2, statement 2"), HasSubstr("25006")));
    ASSERT_TRUE(result_.failure.has_value());
    EXPECT_THAT(result_.failure->reason, HasSubstr("read-only"));
  }
  EXPECT_EQ(Ask("SELECT to_regclass('a')"), "");
}

TEST_F(SessionTest, AFileOfItsOwnThatCannotBeNotedIsNamed) {
  const absl::Status status = Run({{"0001_a.sql",
                                    "-- leasehold: no-transaction\nCREATE TABLE a (i int);\n"
                                    "SET default_transaction_read_only = on;\nCREATE TABLE b (i int);"}});
  EXPECT_EQ(ReasonOf(status), v1::REASON_MIGRATION_FAILED) << status;
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("0001_a.sql"), HasSubstr("25006")));
  EXPECT_THAT(result_.failure->reason, HasSubstr("read-only"));
}

TEST_F(SessionTest, AFileThatEndsItsSessionIsNamed) {
  const auto ends = [this](Files files, const auto& work) {
    const absl::Status status = work(files);
    EXPECT_TRUE(postgres::IsConnectionFailure(status)) << status;
    ASSERT_TRUE(result_.failure.has_value());
    EXPECT_EQ(result_.failure->file, "0002_b.sql");
    EXPECT_EQ(result_.failure->line, 3);
    EXPECT_EQ(result_.failure->statement, 2);
    EXPECT_EQ(result_.failure->reason, "its session was ended");
    EXPECT_THAT(result_.failure->text, HasSubstr("pg_terminate_backend"));
  };
  const auto run = [this](Files files) { return Run(files); };
  const auto attempt = [this](Files files) { return Try(files); };
  const Files files = {{"0001_a.sql", "CREATE TABLE a (i int)"},
                       {"0002_b.sql", "SELECT 1;\n\nSELECT pg_terminate_backend(pg_backend_pid());\nSELECT 2"}};
  ends(files, attempt);
  ends(files, run);
  EXPECT_EQ(result_.failure->sqlstate, "57P01");
  EXPECT_EQ(Applied(), "0001_a.sql");
  ends({{"0001_a.sql", "CREATE TABLE a (i int)"},
        {"0002_b.sql", "-- leasehold: no-transaction\nANALYZE a;\nSELECT pg_terminate_backend(pg_backend_pid())"}},
       run);
}

TEST_F(SessionTest, WhereASessionEndedWithoutAWordIsNotGuessed) {
  postgres::ConnectOptions closed;
  closed.dsn = "host=127.0.0.1 port=1";
  postgres::Connection nobody(closed);
  const absl::Status lost = nobody.ExecAlone("SELECT 1").status();
  EXPECT_TRUE(postgres::IsConnectionFailure(FailedAt("0001_a.sql", {}, 0, lost, result_)));
  ASSERT_TRUE(result_.failure.has_value());
  EXPECT_EQ(SessionEnded(*result_.failure), "migration 0001_a.sql: its session was ended");
}

TEST_F(SessionTest, WhatAFileSetsIsNotTheNextOnes) {
  constexpr std::string_view kSets =
      "SET default_transaction_read_only = on;\nSELECT pg_catalog.set_config('app.by', 'first', false);\n"
      "SET check_function_bodies = off;\nCREATE TEMP TABLE scratch (i int)";
  constexpr std::string_view kAlone = "-- leasehold: no-transaction\nSET app.by = 'third'";
  constexpr std::string_view kMakes =
      "CREATE TEMP TABLE scratch (i int);\nCREATE TABLE {} AS SELECT "
      "coalesce(current_setting('app.by', true), '') || current_setting('check_function_bodies') AS found";
  const std::string second = std::vformat(kMakes, std::make_format_args("b"));
  const std::string fourth = std::vformat(kMakes, std::make_format_args("d"));
  const Files files = {{"0001_a.sql", kSets}, {"0002_b.sql", second}, {"0003_c.sql", kAlone}, {"0004_d.sql", fourth}};
  EXPECT_EQ(Try(files), absl::OkStatus());
  EXPECT_EQ(Run(files), absl::OkStatus());
  EXPECT_EQ(Ask("SELECT found FROM b"), "on");
  EXPECT_EQ(Ask("SELECT found FROM d"), "on");
}

TEST_F(SessionTest, WhatADownFileSetsIsNotTheNextOnes) {
  Migrations files =
      *MigrationsOf({{"0001_a.sql", "CREATE TABLE a (i int)"}, {"0002_b.sql", "CREATE TABLE b (i int)"}});
  files[0].down = DownMigration{.name = "0001_a.down.sql",
                                .statements = *SplitStatements("DROP TABLE a; CREATE TEMP TABLE scratch (i int)")};
  files[1].down = DownMigration{.name = "0002_b.down.sql",
                                .statements = *SplitStatements("DROP TABLE b; CREATE TEMP TABLE scratch (i int);"
                                                               "SET default_transaction_read_only = on")};
  options_.run = "x.1";
  ASSERT_EQ(Run(files), absl::OkStatus());
  result_ = MigrateResult();
  postgres::Connection owner = Owner();
  EXPECT_EQ(Undo(owner, secret_, files, "x.1", options_, result_), absl::OkStatus());
  EXPECT_EQ(Applied(), "");
}

TEST_F(SessionTest, ADryRunDefersWhatAnApplyDefers) {
  const Files files = {{"0001_a.sql",
                        "CREATE TABLE parent (id int PRIMARY KEY);\n"
                        "CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)"},
                       {"0002_b.sql", "INSERT INTO child VALUES (1); INSERT INTO parent VALUES (1)"}};
  EXPECT_EQ(Try(files), absl::OkStatus());
  EXPECT_EQ(Run(files), absl::OkStatus());
}

}  // namespace
}  // namespace leasehold::provisioner
