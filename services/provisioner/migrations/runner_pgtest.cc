#include "services/provisioner/migrations/runner.h"

#include <format>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status/error.h"
#include "services/provisioner/testing/test_instance.h"

namespace leasehold::provisioner {
namespace {

using ::testing::HasSubstr;

// The history's rules. The superuser stands in for the owner: who owns what is the subject of steps_pgtest.cc.
class RunnerTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto started = TestInstance::Start();
    ASSERT_TRUE(started.ok()) << started.status();
    test_ = started->release();
  }
  static void TearDownTestSuite() {
    delete test_;
    test_ = nullptr;
  }

  void SetUp() override {
    database_ = std::format("db{}", ++count_);
    ASSERT_EQ(test_->Ask("postgres", std::format("CREATE DATABASE {} OWNER leasehold", database_)), "");
    postgres::Connection keeper = test_->Login(database_);
    ASSERT_EQ(PrepareHistory(keeper), absl::OkStatus());
    ASSERT_EQ(PrepareHistory(keeper), absl::OkStatus());
  }

  absl::StatusOr<int> Run(std::initializer_list<std::pair<std::string_view, std::string_view>> files) {
    const auto migrations = MigrationsOf(files);
    if (!migrations.ok()) return migrations.status();
    postgres::Connection keeper = test_->Login(database_);
    postgres::Connection owner = test_->Superuser(database_);
    return Migrate({.keeper = keeper, .owner = owner}, *migrations, [] { return absl::OkStatus(); });
  }
  std::string Ask(std::string_view sql) { return test_->Ask(database_, sql); }

  static inline TestInstance* test_ = nullptr;
  static inline int count_ = 0;
  std::string database_;
};

TEST_F(RunnerTest, AppliesEachOnceInOrder) {
  EXPECT_EQ(*Run({{"0001_a.sql", "CREATE TABLE a (i int);"}}), 1);
  EXPECT_EQ(*Run({{"0001_a.sql", "CREATE TABLE a (i int);"}, {"0003_b.sql", "INSERT INTO a VALUES (1)"}}), 3);
  EXPECT_EQ(*Run({{"0001_a.sql", "CREATE TABLE a (i int);"}, {"0003_b.sql", "INSERT INTO a VALUES (1)"}}), 3);
  EXPECT_EQ(Ask("SELECT count(*) FROM a"), "1");
  EXPECT_EQ(Ask("SELECT string_agg(name, ',' ORDER BY version) FROM leasehold.migrations WHERE applied_at IS NOT NULL "
                "AND length(checksum) = 64"),
            "0001_a.sql,0003_b.sql");
}

TEST_F(RunnerTest, RefusesARewrittenPast) {
  ASSERT_TRUE(Run({{"0001_a.sql", "CREATE TABLE a (i int);"}, {"0003_b.sql", "SELECT 1"}}).ok());
  const auto message = [&](auto files) {
    const absl::Status status = Run(files).status();
    EXPECT_EQ(ReasonOf(status), v1::REASON_MIGRATION_FAILED);
    return std::string(status.message());
  };
  using Files = std::initializer_list<std::pair<std::string_view, std::string_view>>;
  EXPECT_THAT(message(Files{{"0001_a.sql", "CREATE TABLE a (i bigint);"}, {"0003_b.sql", "SELECT 1"}}),
              HasSubstr("0001_a.sql was edited"));
  EXPECT_THAT(message(Files{{"0003_b.sql", "SELECT 1"}}), HasSubstr("0001_a.sql was applied here and is missing"));
  EXPECT_THAT(message(Files{{"0001_x.sql", "CREATE TABLE a (i int);"}, {"0003_b.sql", "SELECT 1"}}),
              HasSubstr("0001_x.sql was applied here under the name 0001_a.sql"));
  EXPECT_THAT(
      message(Files{{"0001_a.sql", "CREATE TABLE a (i int);"}, {"0002_c.sql", "SELECT 1"}, {"0003_b.sql", "SELECT 1"}}),
      HasSubstr("0002_c.sql came after 0003_b.sql"));
}

TEST_F(RunnerTest, ACrashAfterTheOwnersCommitIsNotAppliedTwice) {
  ASSERT_EQ(Ask("CREATE TABLE a (i int); INSERT INTO leasehold.migrations SELECT 1, '0001_a.sql', "
                "encode(sha256('CREATE TABLE a (i int);'), 'hex'), NULL, pg_current_xact_id()"),
            "");
  EXPECT_EQ(*Run({{"0001_a.sql", "CREATE TABLE a (i int);"}}), 1);
  EXPECT_EQ(Ask("SELECT applied_at IS NOT NULL FROM leasehold.migrations"), "t");
}

TEST_F(RunnerTest, ACrashBeforeTheOwnersCommitIsAppliedAgain) {
  postgres::Connection owner = test_->Superuser(database_);
  std::string transaction;
  const absl::Status aborted = owner.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(const pqxx::result id, tx.Exec("SELECT pg_current_xact_id()::text"));
    transaction = id[0][0].as<std::string>();
    const std::string record = std::format(
        "INSERT INTO leasehold.migrations SELECT 1, '0001_a.sql', encode(sha256('CREATE TABLE a (i int);'), 'hex'), "
        "NULL, '{}'",
        transaction);
    EXPECT_EQ(Ask(record), "");
    const absl::Status running = Run({{"0001_a.sql", "CREATE TABLE a (i int);"}}).status();
    EXPECT_THAT(std::string(running.message()), HasSubstr("still running"));
    return Error(v1::REASON_INTERNAL, "the crash");
  });
  ASSERT_FALSE(aborted.ok());
  EXPECT_EQ(*Run({{"0001_a.sql", "CREATE TABLE a (i int);"}}), 1);
  EXPECT_EQ(Ask("SELECT to_regclass('a') IS NOT NULL"), "t");
}

TEST_F(RunnerTest, AConstraintThatFailsAtCommitFailsTheFile) {
  const absl::Status status =
      Run({{"0001_a.sql",
            "CREATE TABLE a (i int UNIQUE DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO a VALUES (1), (1);"}})
          .status();
  EXPECT_EQ(ReasonOf(status), v1::REASON_MIGRATION_FAILED) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("23505"));
  EXPECT_EQ(*Run({{"0001_a.sql", "CREATE TABLE a (i int UNIQUE);"}}), 1) << "and it may be mended";
}

TEST_F(RunnerTest, GoOnIsAskedBeforeEachFile) {
  const auto migrations = MigrationsOf({{"0001_a.sql", "SELECT 1"}, {"0002_b.sql", "SELECT 2"}});
  postgres::Connection keeper = test_->Login(database_);
  postgres::Connection owner = test_->Superuser(database_);
  int asked = 0;
  const auto version = Migrate({.keeper = keeper, .owner = owner}, *migrations, [&] {
    return ++asked == 1 ? absl::OkStatus() : Error(v1::REASON_SHUTTING_DOWN, "stopping");
  });
  EXPECT_EQ(ReasonOf(version.status()), v1::REASON_SHUTTING_DOWN);
  EXPECT_EQ(Ask("SELECT max(version) FROM leasehold.migrations"), "1");
}

}  // namespace
}  // namespace leasehold::provisioner
