// A provisioner killed at each boundary of a migration run: whoever comes after it brings the run to its end, each file
// runs once in each database, and nothing is left.
//
// All boundaries by `./dev test -L soak`, else some of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <format>
#include <fstream>
#include <string>
#include <vector>

#include "tests/stack/fleet.h"
#include "tests/stack/provisioner.h"

namespace leasehold::testing {
namespace {

using ::testing::HasSubstr;

constexpr int kTenants = 4;

const std::string& FailPointFile() {
  static const localserver::TemporaryDirectory folder;
  static const std::string path = folder.path() + "/failpoint";
  return path;
}

Fleet& TheFleet() {
  static auto* const fleet = [] {
    static Fleet instance(kTenants, /*spares=*/0, {std::format("LEASEHOLD_FAILPOINT=@{}", FailPointFile())});
    return &instance;
  }();
  return *fleet;
}

// Begins a run whose provisioner dies at `point`, and waits for the run's end.
void KillOver(const std::string& point, const std::vector<std::string>& command) {
  Fleet& fleet = TheFleet();
  const std::string last = fleet.NewestRun();
  const pid_t before = fleet.stack().PidOf("provisioner/alpha");
  std::ofstream(FailPointFile()) << point << ":kill";
  // It may die before it has answered.
  (void)fleet.Migrate(command);
  fleet.stack().AwaitAgain("provisioner/alpha", before);
  EXPECT_FALSE(std::filesystem::exists(FailPointFile())) << "never came to: " << point;
  const std::string run = fleet.NewestRun();
  ASSERT_NE(run, last) << point;
  ASSERT_TRUE(Eventually([&] { return fleet.StateOf(run) != "running"; }, absl::Minutes(2))) << point;
  EXPECT_EQ(fleet.StateOf(run), "succeeded")
      << point << ": " << fleet.Central("SELECT message FROM leasehold.runs ORDER BY id DESC LIMIT 1");
}

void ExpectSettled(const std::string& point) {
  Fleet& fleet = TheFleet();
  const Stack::Output status = fleet.Migrate({"status", "alpha"});
  EXPECT_THAT(status.out, HasSubstr("5 databases, 0 behind, 0 differ")) << point << status.err;
  EXPECT_EQ(fleet.stack().Strays("alpha"), 0) << point;
}

TEST(MigrationKills, AKillAtAnyBoundaryOfAnApply) {
  Fleet& fleet = TheFleet();
  int number = 0;
  for (const std::string& point :
       Chosen({"before recording what a run is about", "after recording what a run is about",
               "after looking for what is in the way", "before a database's turn", "before sending a migration",
               "after committing a migration", "after a database's turn", "before noting what became of databases",
               "after noting what became of databases"},
              3)) {
    const std::string table = std::format("applied{}", ++number);
    const std::string file =
        fleet.Add(table, std::format("CREATE TABLE {0} (i int);\nINSERT INTO {0} VALUES (1);", table));
    ASSERT_NO_FATAL_FAILURE(KillOver(point, {"apply", "alpha", "--parallelism", "2", "--detach"}));
    const std::string run = fleet.NewestRun();
    for (int i = 1; i <= kTenants; ++i) {
      EXPECT_EQ(fleet.In(i, "SELECT count(*) FROM " + table), "1") << point << i;
      EXPECT_EQ(fleet.In(i, std::format("SELECT run FROM leasehold.migrations WHERE name = '{}'", file)), run) << i;
    }
    ExpectSettled(point);
  }
}

TEST(MigrationKills, AKillBesideAStatementWithoutATransaction) {
  Fleet& fleet = TheFleet();
  int number = 0;
  for (const std::string point : {"before a statement of its own", "after a statement of its own"}) {
    const std::string index = std::format("alone{}", ++number);
    fleet.Add(index, std::format("-- leasehold: no-transaction\nCREATE INDEX CONCURRENTLY {0}_a ON notes (body);\n"
                                 "CREATE INDEX CONCURRENTLY {0}_b ON notes (body);",
                                 index));
    ASSERT_NO_FATAL_FAILURE(KillOver(point, {"apply", "alpha", "--parallelism", "2", "--detach"}));
    for (int i = 1; i <= kTenants; ++i) {
      EXPECT_EQ(fleet.In(i, std::format("SELECT count(*) FILTER (WHERE indisvalid) || ' of ' || count(*) FROM pg_index "
                                        "WHERE starts_with(indexrelid::regclass::text, '{}')",
                                        index)),
                "2 of 2")
          << point << i;
    }
    ExpectSettled(point);
  }
}

TEST(MigrationKills, AKillAtAnyBoundaryOfAnUndo) {
  Fleet& fleet = TheFleet();
  int number = 0;
  for (const std::string& point :
       Chosen({"before recording a migration", "before committing a migration", "after committing a migration",
               "after a database's turn", "before noting what became of databases"},
              2)) {
    const std::string table = std::format("undone{}", ++number);
    const std::string file = fleet.Add(table, std::format("CREATE TABLE {} (i int);", table),
                                       std::format("DROP TABLE {};\nUPDATE notes SET body = body || 'u';", table));
    ASSERT_EQ(fleet.Migrate({"apply", "alpha"}).exit_code, 0);
    const std::string run = fleet.NewestRun();
    for (int i = 1; i <= kTenants; ++i) fleet.In(i, "DELETE FROM notes");
    for (int i = 1; i <= kTenants; ++i) fleet.In(i, "INSERT INTO notes VALUES (1, '')");
    ASSERT_NO_FATAL_FAILURE(KillOver(point, {"undo", run, "--detach"}));
    EXPECT_EQ(fleet.CountWith(table), 0) << point;
    for (int i = 1; i <= kTenants; ++i) EXPECT_EQ(fleet.In(i, "SELECT body FROM notes"), "u") << point << " twice";
    // The file comes again, for the next to be settled by.
    ASSERT_EQ(fleet.Migrate({"apply", "alpha"}).exit_code, 0);
    ExpectSettled(point);
  }
}

TEST(MigrationKills, AKillOverAVerifyLeavesNoScratchDatabase) {
  Fleet& fleet = TheFleet();
  const std::string point = "before dropping what databases are compared with";
  ASSERT_NO_FATAL_FAILURE(KillOver(point, {"verify", "alpha", "--detach"}));
  EXPECT_EQ(fleet.Central("SELECT sum(findings) FROM leasehold.run_tasks WHERE run = (SELECT max(id) FROM "
                          "leasehold.runs)"),
            "0");
  ExpectSettled(point);
}

TEST(MigrationKills, AKillAtAnyBoundaryOfARepair) {
  Fleet& fleet = TheFleet();
  for (const std::string point : {"before repairing a history", "after repairing a history"}) {
    const std::string file = fleet.Add("repaired", "SELECT 1;");
    ASSERT_EQ(fleet.Migrate({"apply", "alpha"}).exit_code, 0);
    fleet.Write(file, "SELECT 1; -- the same");
    ASSERT_EQ(fleet.Migrate({"verify", "alpha"}).exit_code, 1);
    ASSERT_NO_FATAL_FAILURE(KillOver(point, {"repair", "alpha", file, "--without-central", "--accept-file"}));
    const Stack::Output verified = fleet.Migrate({"verify", "alpha"});
    EXPECT_EQ(verified.exit_code, 0) << point << verified.out << verified.err;
    ExpectSettled(point);
  }
}

// It keeps its sessions, and with them the lock of runs and a tenant's, until somebody takes them away.
TEST(MigrationKills, AProvisionerThatStandsStillIsFollowedAndSpoilsNothing) {
  Fleet& fleet = TheFleet();
  Stack& stack = fleet.stack();
  const pid_t supervised = stack.PidOf("provisioner/alpha");
  {
    const Stack::WithoutSupervisor alone(stack);
    stack.Kill("provisioner/alpha");
    fleet.Add("still", "CREATE TABLE still (i int);\nINSERT INTO still VALUES (1);");
    Provisioner still(stack, "alpha", "before a database's turn:stop");
    ASSERT_TRUE(Eventually([&] { return fleet.Migrate({"apply", "alpha", "--detach"}).exit_code == 0; }))
        << still.Log();
    const std::string run = fleet.NewestRun();
    ASSERT_TRUE(Eventually([&] { return still.Stopped(); })) << still.Log();
    {
      Provisioner heir(stack, "alpha");
      EXPECT_TRUE(Eventually([&] { return fleet.StateOf(run) == "succeeded"; }, absl::Minutes(2))) << heir.Log();
      EXPECT_EQ(fleet.CountWith("still"), kTenants);
      // NATS gives it about each second question.
      for (int i = 0; i < 6; ++i) {
        const Stack::Output status = fleet.Migrate({"status", "alpha"});
        EXPECT_EQ(status.exit_code, 0) << status.err;
      }
    }
    // Going on, it finds its connections gone, makes others, and takes up the next run. Each of its threads has come to
    // the fail point, or comes to it yet.
    ASSERT_TRUE(Eventually([&] {
      still.Signal(SIGCONT);
      return still.Said("migration runs cannot be worked on now") > 0;
    })) << still.Log();
    fleet.Add("next", "CREATE TABLE next (i int);");
    ASSERT_TRUE(Eventually([&] {
      if (fleet.NewestRun() == run) (void)fleet.Migrate({"apply", "alpha", "--detach"});
      return fleet.NewestRun() != run && still.Stopped();
    })) << still.Log();
    for (int i = 1; i <= kTenants; ++i) EXPECT_EQ(fleet.In(i, "SELECT count(*) FROM still"), "1") << i;
  }
  stack.AwaitAgain("provisioner/alpha", supervised);
  ASSERT_TRUE(Eventually([&] { return fleet.StateOf(fleet.NewestRun()) == "succeeded"; }, absl::Minutes(1)));
  ExpectSettled("after all");
}

}  // namespace
}  // namespace leasehold::testing
