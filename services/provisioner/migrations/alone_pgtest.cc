#include "services/provisioner/migrations/alone.h"

#include <thread>

#include "absl/time/clock.h"
#include "services/provisioner/migrations/concurrent.h"
#include "services/provisioner/migrations/runner_fixture.h"

namespace leasehold::provisioner {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::string_view kTable = "CREATE TABLE a (i int); INSERT INTO a SELECT generate_series(1, 10)";
constexpr std::string_view kIndex =
    "-- leasehold: no-transaction\nCREATE INDEX CONCURRENTLY a_i ON a (i);\nCREATE INDEX CONCURRENTLY a_2i ON a ((2 * "
    "i))";

class AloneTest : public RunnerFixture {
 protected:
  std::string Valid(std::string_view index) {
    return Ask(std::format("SELECT indisvalid FROM pg_index WHERE indexrelid = '{}'::regclass", index));
  }
  std::string Progress() {
    return Ask(
        "SELECT done || ' ' || begun || ' ' || (applied_at IS NOT NULL) FROM leasehold.migrations "
        "WHERE version = 2");
  }
  // As a run that ended there would have left it.
  void Leave(int done, int begun) {
    const auto files = MigrationsOf({{"0002_b.sql", kIndex}});
    ASSERT_EQ(Ask(std::format("INSERT INTO leasehold.migrations (version, name, checksum, done, begun) VALUES (2, "
                              "'0002_b.sql', '{}', {}, {})",
                              files->front().checksum, done, begun)),
              "");
  }
};

TEST_F(AloneTest, RunsEachStatementOnItsOwn) {
  EXPECT_EQ(Run({{"0001_a.sql", kTable}, {"0002_b.sql", kIndex}}), absl::OkStatus());
  EXPECT_EQ(Valid("a_i"), "t");
  EXPECT_EQ(Valid("a_2i"), "t");
  EXPECT_EQ(Progress(), "2 0 true");
  EXPECT_EQ(result_.version, 2);
}

TEST_F(AloneTest, AFailedBuildIsCleanedUpAndMayBeMended) {
  ASSERT_EQ(Run({{"0001_a.sql", kTable}}), absl::OkStatus());
  ASSERT_EQ(Ask("INSERT INTO a VALUES (1)"), "");
  const absl::Status status =
      Run({{"0001_a.sql", kTable},
           {"0002_b.sql", "-- leasehold: no-transaction\nSELECT 1;\nCREATE UNIQUE INDEX CONCURRENTLY a_u ON a (i);"}});
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("statement 2"), HasSubstr("23505")));
  EXPECT_EQ(Ask("SELECT count(*) FROM pg_index WHERE NOT indisvalid"), "0");
  EXPECT_EQ(Progress(), "1 0 false");
  EXPECT_THAT(std::string(Run({{"0001_a.sql", kTable}, {"0002_b.sql", kIndex}}).message()),
              HasSubstr("was edited after 1 of its statements"));
  ASSERT_EQ(Ask("DELETE FROM a WHERE ctid = (SELECT max(ctid) FROM a)"), "");
  EXPECT_EQ(
      Run({{"0001_a.sql", kTable},
           {"0002_b.sql", "-- leasehold: no-transaction\nSELECT 1;\nCREATE UNIQUE INDEX CONCURRENTLY a_u ON a (i);"}}),
      absl::OkStatus());
  EXPECT_EQ(Valid("a_u"), "t");
}

TEST_F(AloneTest, AFileThatFailedAtOnceMayBeEdited) {
  ASSERT_EQ(Run({{"0001_a.sql", kTable}}), absl::OkStatus());
  EXPECT_FALSE(Run({{"0001_a.sql", kTable}, {"0002_b.sql", "-- leasehold: no-transaction\nVACUUM nowhere"}}).ok());
  EXPECT_EQ(Progress(), "0 0 false");
  EXPECT_EQ(Run({{"0001_a.sql", kTable}, {"0002_b.sql", kIndex}}), absl::OkStatus());
  EXPECT_EQ(Progress(), "2 0 true");
}

TEST_F(AloneTest, AKilledBuildIsFoundAndMadeAgain) {
  ASSERT_EQ(Run({{"0001_a.sql", kTable}}), absl::OkStatus());
  postgres::Connection reader = Owner();
  ASSERT_EQ(reader.ExecAlone("BEGIN ISOLATION LEVEL REPEATABLE READ").status(), absl::OkStatus());
  ASSERT_EQ(reader.ExecAlone("SELECT pg_current_xact_id(), count(*) FROM a").status(), absl::OkStatus());
  options_.lock_timeout = absl::ZeroDuration();
  absl::Status status;
  {
    std::jthread killed([&] { status = Run({{"0001_a.sql", kTable}, {"0002_b.sql", kIndex}}); });
    // The build waits for the reader; it has made an index that is not valid.
    while (Valid("a_i") != "f") absl::SleepFor(absl::Milliseconds(5));
    EXPECT_EQ(Ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%'"),
              "1");
  }
  EXPECT_TRUE(postgres::IsConnectionFailure(status)) << status;
  EXPECT_EQ(Progress(), "0 1 false");
  EXPECT_EQ(Valid("a_i"), "f");
  ASSERT_EQ(reader.ExecAlone("ROLLBACK").status(), absl::OkStatus());
  EXPECT_EQ(Run({{"0001_a.sql", kTable}, {"0002_b.sql", kIndex}}), absl::OkStatus());
  EXPECT_EQ(Valid("a_i"), "t");
  EXPECT_EQ(Progress(), "2 0 true");
}

TEST_F(AloneTest, ABuildThatWasDoneButNotNotedIsNotMadeTwice) {
  ASSERT_EQ(Run({{"0001_a.sql", kTable}}), absl::OkStatus());
  ASSERT_EQ(Ask("CREATE INDEX a_i ON a (i)"), "");
  const std::string first = Ask("SELECT 'a_i'::regclass::oid");
  Leave(0, 1);
  EXPECT_EQ(Run({{"0001_a.sql", kTable}, {"0002_b.sql", kIndex}}), absl::OkStatus());
  EXPECT_EQ(Ask("SELECT 'a_i'::regclass::oid"), first);
  EXPECT_EQ(Valid("a_2i"), "t");
}

TEST_F(AloneTest, AnIndexOfTheSameNameThatWasThereBeforeIsAnError) {
  ASSERT_EQ(Run({{"0001_a.sql", kTable}}), absl::OkStatus());
  ASSERT_EQ(Ask("CREATE INDEX a_i ON a (i)"), "");
  EXPECT_THAT(std::string(Run({{"0001_a.sql", kTable}, {"0002_b.sql", kIndex}}).message()), HasSubstr("42P07"));
}

TEST_F(AloneTest, ADropThatWasDoneButNotNotedIsDone) {
  constexpr std::string_view kDrop = "-- leasehold: no-transaction\nDROP INDEX CONCURRENTLY a_i;";
  ASSERT_EQ(Run({{"0001_a.sql", kTable}}), absl::OkStatus());
  const auto files = MigrationsOf({{"0001_a.sql", kTable}, {"0002_b.sql", kDrop}});
  ASSERT_EQ(Ask(std::format("INSERT INTO leasehold.migrations (version, name, checksum, begun) VALUES (2, "
                            "'0002_b.sql', '{}', 1)",
                            files->back().checksum)),
            "");
  EXPECT_EQ(Run(*files), absl::OkStatus());
  EXPECT_EQ(Progress(), "1 0 true");
}

TEST_F(AloneTest, WhatNobodyCanTellTheEndOfIsNotRunAgain) {
  constexpr std::string_view kText = "-- leasehold: no-transaction\nINSERT INTO a VALUES (11);";
  ASSERT_EQ(Run({{"0001_a.sql", kTable}}), absl::OkStatus());
  const auto files = MigrationsOf({{"0001_a.sql", kTable}, {"0002_b.sql", kText}});
  ASSERT_EQ(Ask(std::format("INSERT INTO leasehold.migrations (version, name, checksum, begun) VALUES (2, "
                            "'0002_b.sql', '{}', 1)",
                            files->back().checksum)),
            "");
  EXPECT_THAT(std::string(Run(*files).message()), HasSubstr("was interrupted in statement 1"));
  EXPECT_EQ(Ask("SELECT count(*) FROM a"), "10");
}

TEST_F(AloneTest, ALockIsWaitedForInShortTurnsHereToo) {
  ASSERT_EQ(Run({{"0001_a.sql", kTable}}), absl::OkStatus());
  postgres::Connection holder = Owner();
  ASSERT_EQ(holder.ExecAlone("BEGIN").status(), absl::OkStatus());
  ASSERT_EQ(holder.ExecAlone("LOCK TABLE a IN SHARE ROW EXCLUSIVE MODE").status(), absl::OkStatus());
  options_.lock_timeout = absl::Milliseconds(30);
  int rounds = 0;
  options_.go_on = [&] {
    if (++rounds == 6) {
      EXPECT_EQ(holder.ExecAlone("ROLLBACK").status(), absl::OkStatus());
    }
    return absl::OkStatus();
  };
  EXPECT_EQ(Run({{"0001_a.sql", kTable}, {"0002_b.sql", kIndex}}), absl::OkStatus());
  EXPECT_GT(result_.attempts, 2);
}

}  // namespace
}  // namespace leasehold::provisioner
