#include "services/provisioner/archive/contents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>

#include "common/status/error.h"
#include "services/provisioner/migrations/history.h"
#include "services/provisioner/testing/instance_suite.h"

namespace leasehold::provisioner {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ContentsTest : public InstanceSuite {
 protected:
  void SetUp() override {
    database_ = std::format("db{}", ++count_);
    ASSERT_EQ(test_->Ask("postgres", std::format("CREATE DATABASE {} OWNER leasehold", database_)), "");
  }
  std::string Ask(std::string_view sql) { return test_->Ask(database_, sql); }
  absl::StatusOr<Contents> Read() {
    postgres::Connection inside = test_->Login(database_);
    Contents contents;
    const absl::Status read = inside.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
      LH_ASSIGN_OR_RETURN(contents, ReadContents(tx, [] { return absl::OkStatus(); }));
      return absl::OkStatus();
    });
    if (!read.ok()) return read;
    return contents;
  }

  static inline int count_ = 0;
  std::string database_;
};

TEST_F(ContentsTest, AFileOfWhichNothingHasComeIsNoneAndOneLeftInPartIsNoBasisForACopy) {
  postgres::Connection keeper = test_->Login(database_);
  ASSERT_EQ(PrepareHistory(keeper, "postgres", Secret("secret")), absl::OkStatus());
  ASSERT_EQ(Ask("INSERT INTO leasehold.migrations (version, name, checksum, applied_at) VALUES (1, '0001_a.sql', 'x', "
                "now()); INSERT INTO leasehold.migrations (version, name, checksum) VALUES (2, '0002_b.sql', 'y')"),
            "");
  const auto contents = Read();
  ASSERT_TRUE(contents.ok()) << contents.status();
  EXPECT_THAT(contents->migrations, ElementsAre(AppliedMigration{.version = 1, .name = "0001_a.sql", .checksum = "x"}));
  for (const char* progress : {"done = 1, begun = 0", "done = 0, begun = 1"}) {
    ASSERT_EQ(Ask(std::format("UPDATE leasehold.migrations SET {} WHERE version = 2", progress)), "");
    const absl::Status status = Read().status();
    EXPECT_EQ(ReasonOf(status), v1::REASON_MIGRATION_FAILED) << progress;
    EXPECT_THAT(std::string(status.message()), HasSubstr("0002_b.sql")) << progress;
  }
}

TEST_F(ContentsTest, ACopyRemembersWhichRunAppliedWhat) {
  postgres::Connection keeper = test_->Login(database_);
  ASSERT_EQ(PrepareHistory(keeper, "postgres", Secret("secret")), absl::OkStatus());
  ASSERT_EQ(Ask("INSERT INTO leasehold.migrations (version, name, checksum, applied_at, run) VALUES (1, '0001_a.sql', "
                "'x', now(), ''), (2, '0002_b.sql', 'y', now(), 'identity.7')"),
            "");
  const auto contents = Read();
  ASSERT_TRUE(contents.ok()) << contents.status();
  ASSERT_EQ(Ask("DELETE FROM leasehold.migrations"), "");
  ASSERT_EQ(WriteHistory(keeper, *contents), absl::OkStatus());
  EXPECT_EQ(Ask("SELECT string_agg(version || ':' || run, ' ' ORDER BY version) FROM leasehold.migrations"),
            "1: 2:identity.7");
  EXPECT_EQ(Read()->migrations, contents->migrations);
}

TEST_F(ContentsTest, ACountCanBeCalledOff) {
  ASSERT_EQ(Ask("CREATE TABLE large (n int); ALTER TABLE large OWNER TO leasehold"), "");
  const Contents contents{.tables = {{.schema = "public", .table = "large", .rows = 0}}};
  postgres::Connection inside = test_->Login(database_);
  EXPECT_EQ(
      CompareRows(inside, contents, [] { return absl::OkStatus(); }, v1::REASON_BACKUP_DAMAGED), absl::OkStatus());
  postgres::Connection holder = test_->Superuser(database_);
  const absl::Status held = holder.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(tx.Exec("LOCK TABLE large IN ACCESS EXCLUSIVE MODE").status());
    int asked = 0;
    const auto go_on = [&asked] {
      return ++asked > 1 ? Error(v1::REASON_SUPERSEDED, "the restore was cancelled") : absl::OkStatus();
    };
    // Of itself it would never end.
    EXPECT_EQ(ReasonOf(CompareRows(inside, contents, go_on, v1::REASON_BACKUP_DAMAGED)), v1::REASON_SUPERSEDED);
    EXPECT_EQ(Ask("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = "
                  "'Lock'"),
              "0");
    EXPECT_EQ(AskOver(inside, "SELECT 1"), "1");
    return absl::OkStatus();
  });
  EXPECT_EQ(held, absl::OkStatus());
}

TEST_F(ContentsTest, AHistoryOfTheOlderLayoutIsRead) {
  postgres::Connection keeper = test_->Login(database_);
  ASSERT_EQ(keeper
                .ExecAlone("CREATE SCHEMA leasehold; CREATE TABLE leasehold.migrations (version int PRIMARY KEY, name "
                           "text NOT NULL, checksum text NOT NULL, applied_at timestamptz, transaction xid8 NOT NULL)")
                .status(),
            absl::OkStatus());
  ASSERT_EQ(Ask("INSERT INTO leasehold.migrations VALUES (1, '0001_a.sql', 'x', now(), '5')"), "");
  const auto contents = Read();
  ASSERT_TRUE(contents.ok()) << contents.status();
  EXPECT_EQ(contents->schema_version(), 1);
  ASSERT_EQ(Ask("INSERT INTO leasehold.migrations VALUES (2, '0002_b.sql', 'y', NULL, '6')"), "");
  EXPECT_EQ(ReasonOf(Read().status()), v1::REASON_MIGRATION_FAILED);
}

}  // namespace
}  // namespace leasehold::provisioner
