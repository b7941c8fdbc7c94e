// Restores and clones in the middle of the data: they say how far they are, and whether cancelled or killed, what is
// left is what was there before.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "tests/stack/stack.h"
#include "tests/stack/tenants.h"

namespace leasehold::testing {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(90);

// A tenant with the note "kept" and some megabytes, of which a copy is loaded all but for the last row: there it stands
// still.
std::string MakeHeavyTenant(Stack& stack) {
  const std::string id = stack.CreateTenant(FreshTenantId("heavy"));
  WriteNote(stack, id, "kept");
  stack.OnInstance("alpha", absl::StrCat("SET ROLE \"", NameOf(id), R"sql(";
CREATE FUNCTION stands_still() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN
  IF starts_with(current_database(), 'leasehold_new_') THEN PERFORM pg_sleep(600); END IF;
  RETURN true;
END$$;
CREATE TABLE heavy (n int, filler text, CHECK (n > 0 OR stands_still()));
INSERT INTO heavy SELECT n, repeat('x', 1000) FROM generate_series(1, 8000) AS n;
INSERT INTO heavy VALUES (0, '') RETURNING n)sql"),
                   NameOf(id));
  return id;
}

// The servers that load such a copy: "1234", "1234, 1235"; "none".
std::string Loading(Stack& stack) {
  return stack.OnInstance("alpha",
                          "SELECT coalesce(string_agg(pid::text, ', ' ORDER BY pid), 'none') FROM pg_stat_activity "
                          "WHERE starts_with(datname, 'leasehold_new_') AND wait_event = 'PgSleep'");
}

v1::ServiceProgress AlphaIn(Stack& stack, const std::string& operation) {
  const v1::Operation now = OperationOf(stack, operation);
  for (const v1::ServiceProgress& each : now.services()) {
    if (each.service() == "alpha") return each;
  }
  return {};
}

void Cancel(Stack& stack, const std::string& operation) {
  ASSERT_EQ(stack.Run({"operation", "cancel", operation}).exit_code, 0);
  EXPECT_EQ(OperationOf(stack, operation).state(), v1::OPERATION_STATE_CANCELLED);
}

TEST(Copies, ARestoreInPlaceSaysHowFarItIsAndEndsWhenItIsCancelled) {
  Stack& stack = SharedStack();
  const std::string id = MakeHeavyTenant(stack), operation = id + ".3";
  ASSERT_EQ(stack.Run({"backup", "create", id, "--wait"}).exit_code, 0);
  WriteNote(stack, id, "later");
  ASSERT_EQ(stack.Run({"backup", "restore", id + ".2", "--in-place"}).exit_code, 0);
  ASSERT_TRUE(Eventually([&] { return Loading(stack) != "none"; }, kPatience));
  EXPECT_TRUE(Eventually([&] {
    const v1::ServiceProgress alpha = AlphaIn(stack, operation);
    return alpha.bytes() > 4 << 20 && alpha.total_bytes() > alpha.bytes() / 2 && !alpha.done();
  })) << AlphaIn(stack, operation).ShortDebugString();
  EXPECT_THAT(stack.Run({"operation", "show", operation}).out, ContainsRegex("alpha +no +[0-9.]+ MiB of [0-9.]+ MiB"));
  EXPECT_THAT(stack.Run({"operation", "list", "--tenant", id}).out, HasSubstr("MiB"));
  const auto watch = stack.Run({"operation", "watch", operation, "--timeout", "5s"});
  EXPECT_EQ(watch.exit_code, 1) << "it goes on";
  EXPECT_THAT(watch.err, HasSubstr("restore " + id));

  Cancel(stack, operation);
  EXPECT_TRUE(Eventually([&] { return Loading(stack) == "none"; })) << "the server would go on for ten minutes";
  EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE, kPatience));
  EXPECT_TRUE(Eventually([&] { return stack.Strays("alpha") == 0; }));
  EXPECT_TRUE(IsOpen(stack, id));
  EXPECT_EQ(NotesOf(stack, id), "kept, later");
}

TEST(Copies, ARestoreIntoANewTenantSurvivesAKillAndGoesWhenItIsCancelled) {
  Stack& stack = SharedStack();
  const std::string id = MakeHeavyTenant(stack), copy = id + "-copy";
  ASSERT_EQ(stack.Run({"backup", "create", id, "--wait"}).exit_code, 0);
  ASSERT_EQ(stack.Run({"backup", "restore", id + ".2", "--into", copy}).exit_code, 0);
  ASSERT_TRUE(Eventually([&] { return Loading(stack) != "none"; }, kPatience));
  const std::string first = Loading(stack);
  stack.KillAndAwait("provisioner/alpha");
  ASSERT_TRUE(Eventually([&] { return Loading(stack) != "none" && Loading(stack).find(first) == std::string::npos; },
                         kPatience))
      << "begun anew, and the server of the first attempt is gone";
  EXPECT_EQ(OperationOf(stack, copy + ".1").state(), v1::OPERATION_STATE_RUNNING);
  Cancel(stack, copy + ".1");
  EXPECT_TRUE(stack.AwaitState(copy, v1::TENANT_STATE_UNSPECIFIED, kPatience));
  EXPECT_TRUE(NothingIsLeftOf(stack, copy));
  EXPECT_EQ(stack.DatabasesOf(copy), 0);
  EXPECT_EQ(NotesOf(stack, id), "kept");
}

// Each service moves its own copy into place: what one has by then stays.
TEST(Copies, ARestoreInPlaceThatIsCancelledBetweenTwoServices) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId("half")), operation = id + ".3";
  const auto items = [&](const std::string& sql) { return stack.OnInstance("beta", sql, "tenant_" + id + "_beta"); };
  WriteNote(stack, id, "kept");
  ASSERT_EQ(items("INSERT INTO items VALUES ('a', 1) RETURNING quantity"), "1");
  ASSERT_EQ(stack.Run({"backup", "create", id, "--wait"}).exit_code, 0);
  WriteNote(stack, id, "later");
  ASSERT_EQ(items("UPDATE items SET quantity = 2 RETURNING quantity"), "2");
  {
    stack.Signal("provisioner/beta", SIGSTOP);
    const absl::Cleanup go_on = [&] { stack.Signal("provisioner/beta", SIGCONT); };
    ASSERT_EQ(stack.Run({"backup", "restore", id + ".2", "--in-place"}).exit_code, 0);
    ASSERT_TRUE(Eventually([&] { return AlphaIn(stack, operation).done(); }, kPatience));
    EXPECT_TRUE(Eventually([&] {
      const v1::ServiceProgress alpha = AlphaIn(stack, operation);
      return alpha.bytes() > 0 && alpha.bytes() == alpha.total_bytes();
    }));
    Cancel(stack, operation);
  }
  EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE, kPatience));
  EXPECT_EQ(NotesOf(stack, id), "kept") << "alpha was done";
  EXPECT_EQ(items("SELECT quantity FROM items"), "2") << "beta had not begun";
  EXPECT_EQ(stack.Strays("alpha"), 0);
  EXPECT_EQ(stack.Strays("beta"), 0);
}

TEST(Copies, ACloneThatIsCancelledBetweenTwoServicesGoesFromBoth) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId("half")), copy = id + "-copy";
  WriteNote(stack, id, "kept");
  {
    stack.Signal("provisioner/beta", SIGSTOP);
    const absl::Cleanup go_on = [&] { stack.Signal("provisioner/beta", SIGCONT); };
    ASSERT_EQ(stack.Run({"tenant", "clone", id, copy}).exit_code, 0);
    ASSERT_TRUE(Eventually([&] { return AlphaIn(stack, copy + ".1").done(); }, kPatience));
    EXPECT_EQ(NotesOf(stack, copy), "kept");
    Cancel(stack, copy + ".1");
  }
  EXPECT_TRUE(stack.AwaitState(copy, v1::TENANT_STATE_UNSPECIFIED, kPatience));
  EXPECT_EQ(stack.DatabasesOf(copy), 0);
  EXPECT_TRUE(NothingIsLeftOf(stack, copy));
  EXPECT_EQ(NotesOf(stack, id), "kept");
}

}  // namespace
}  // namespace leasehold::testing
