// Several provisioners of one service: they share the work, no step is done twice at once, and one that dies or stands
// still holds nobody up and spoils nothing when it comes back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/stack/provisioner.h"
#include "tests/stack/stack.h"
#include "tests/stack/tenants.h"

namespace leasehold::testing {
namespace {

// How long the others wait before they do the work of one that died: the acknowledgement wait of an event (5 s), and a
// desire's patience and the interval of looking for such (2 s each).
constexpr absl::Duration kTakenOverFromDead = absl::Seconds(10);
// Of one that stands still: the silence after which it counts as that (10 s) besides.
constexpr absl::Duration kTakenOverFromStill = absl::Seconds(20);
// Of what happens in the end, however busy the machine is.
constexpr absl::Duration kPatience = absl::Minutes(2);

std::vector<std::string> PublishMany(Stack& stack, int count) {
  std::vector<std::string> ids;
  for (int i = 0; i < count; ++i) {
    ids.push_back(FreshTenantId());
    stack.PublishCreated(ids.back(), absl::StrCat("event-", ids.back()));
  }
  return ids;
}

// Whoever stands still may have it in hand.
void CreateAndAwait(Stack& stack, const std::string& id) {
  Create(stack, id);
  ASSERT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE, kPatience)) << id;
}

// Publishes tenants until `doomed` has reached its fail point over one of them.
std::vector<std::string> PublishUntil(Stack& stack, const std::function<bool()>& reached) {
  std::vector<std::string> ids;
  EXPECT_TRUE(Eventually(
      [&] {
        if (!reached() && ids.size() < 60) {
          for (std::string& id : PublishMany(stack, 2)) ids.push_back(std::move(id));
        }
        return reached();
      },
      kPatience));
  return ids;
}

// Going on, it has found its connections gone and made others; or it has come to its fail point once more.
void AwaitUse(Stack& stack, Provisioner& still) {
  const int before = still.Said("tenant database");
  ASSERT_TRUE(Eventually(
      [&] {
        if (still.Said("tenant database") > before || still.Stopped()) return true;
        CreateAndAwait(stack, FreshTenantId());
        return false;
      },
      kPatience))
      << still.Log();
}

// What a tenant takes on this machine as busy as it is, with nobody dead or still.
absl::Duration Pace(Stack& stack) {
  const absl::Time begin = absl::Now();
  const std::vector<std::string> ids = PublishMany(stack, 10);
  for (const std::string& id : ids) EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE, kPatience)) << id;
  return (absl::Now() - begin) / 10;
}

// All of them, and not each, when `wait` is over and the work could be done: `pace` is from before, and it may have
// become busier here since.
void AwaitAllActive(Stack& stack, const std::vector<std::string>& ids, absl::Duration wait, absl::Duration pace,
                    const std::string& what) {
  const absl::Time begin = absl::Now();
  for (const std::string& id : ids) ASSERT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE, kPatience)) << what << id;
  const absl::Duration took = absl::Now() - begin;
  EXPECT_LT(took, wait + 3 * static_cast<double>(ids.size()) * std::max(pace, Pace(stack))) << what << ids.size();
}

TEST(Several, TheyShareTheWorkAndDoNothingTwice) {
  Stack& stack = SharedStack();
  Provisioner second(stack, "alpha"), third(stack, "alpha");
  ASSERT_TRUE(Eventually([&] { return second.Said("started") == 1 && third.Said("started") == 1; }));
  const std::vector<std::string> ids = PublishMany(stack, 40);
  for (const std::string& id : ids) ASSERT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE, kPatience)) << id;
  EXPECT_GT(second.Said("tenant database ready") + third.Said("tenant database ready"), 0);
  for (const std::string& id : ids) {
    // One creation, of one process: the number of attempts says so.
    EXPECT_EQ(stack.OnInstance("alpha", absl::StrCat("SELECT attempts FROM leasehold.tenants WHERE id = '", id, "'"),
                               "alpha_central"),
              "1")
        << id;
  }
  EXPECT_EQ(stack.Strays("alpha"), 0);
  EXPECT_EQ(second.Said("failed"), 0) << second.Log();
  EXPECT_EQ(third.Said("failed"), 0) << third.Log();
}

TEST(Several, OneThatIsKilledIsTakenOverFromWithinSeconds) {
  Stack& stack = SharedStack();
  const absl::Duration pace = Pace(stack);
  for (const std::string& point :
       Chosen({"before acknowledging an event", "before making the roles", "before granting privileges",
               "before recording the outcome", "after recording the outcome"},
              3)) {
    {
      Provisioner doomed(stack, "alpha", absl::StrCat(point, ":kill"), Provisioner::Spares::kNone);
      const std::vector<std::string> ids = PublishUntil(stack, [&] { return !doomed.Running(); });
      AwaitAllActive(stack, ids, kTakenOverFromDead, pace, point);
    }
    if (Soak()) RemoveAll(stack);
  }
  EXPECT_TRUE(Eventually([&] { return stack.Strays("alpha") == 0; }));
}

TEST(Several, OneThatStandsStillIsTakenOverFromAndSpoilsNothingAfterwards) {
  Stack& stack = SharedStack();
  const absl::Duration pace = Pace(stack);
  for (const std::string& point :
       Chosen({"before creating the database", "before moving the database into place", "before recording the outcome"},
              3)) {
    {
      Provisioner still(stack, "alpha", absl::StrCat(point, ":stop"), Provisioner::Spares::kNone);
      const std::vector<std::string> ids = PublishUntil(stack, [&] { return still.Stopped(); });
      AwaitAllActive(stack, ids, kTakenOverFromStill, pace, point);
      for (const std::string& id : ids) WriteNote(stack, id, "kept");
      still.Signal(SIGCONT);
      AwaitUse(stack, still);
      const std::string later = FreshTenantId();
      stack.PublishCreated(later, absl::StrCat("event-", later));
      ASSERT_TRUE(stack.AwaitState(later, v1::TENANT_STATE_ACTIVE, kPatience));
      for (const std::string& id : ids) {
        EXPECT_EQ(NotesOf(stack, id), "kept") << point;
      }
      EXPECT_TRUE(Eventually([&] { return stack.Strays("alpha") == 0; })) << point;
    }
    if (Soak()) RemoveAll(stack);
  }
}

TEST(Several, ARemovalThatStoodStillDoesNotReachTheNextTenantOfThatId) {
  Stack& stack = SharedStack();
  Provisioner still(stack, "alpha", "between setting aside and dropping:stop", Provisioner::Spares::kNone);
  std::vector<std::string> ids;
  ASSERT_TRUE(Eventually(
      [&] {
        if (still.Stopped()) return true;
        ids.push_back(FreshTenantId());
        CreateAndAwait(stack, ids.back());
        Delete(stack, ids.back());
        return false;
      },
      absl::Minutes(2)));
  for (const std::string& id : ids) {
    ASSERT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_UNSPECIFIED, kPatience)) << id;
    CreateAndAwait(stack, id);
    WriteNote(stack, id, "of the next");
  }
  still.Signal(SIGCONT);
  AwaitUse(stack, still);
  CreateAndAwait(stack, FreshTenantId());
  for (const std::string& id : ids) {
    EXPECT_EQ(NotesOf(stack, id), "of the next");
    EXPECT_EQ(stack.StateOf(id), v1::TENANT_STATE_ACTIVE);
  }
  EXPECT_TRUE(Eventually([&] { return stack.Strays("alpha") == 0; }));
}

TEST(Several, WhoKeepsTheSparesAndStandsStillIsStoodInFor) {
  Stack& stack = SharedStack();
  const Stack::WithoutSupervisor alone(stack);
  stack.Kill("provisioner/alpha");
  Provisioner still(stack, "alpha", "before offering a spare:stop");
  const std::vector<std::string> ids = PublishUntil(stack, [&] { return still.Stopped(); });
  Provisioner heir(stack, "alpha");
  const auto stock_is_whole = [&] {
    return stack.OnInstance("alpha",
                            "SELECT count(*) FILTER (WHERE state = 'ready') >= 2 AND bool_and(state = 'ready') "
                            "FROM leasehold.spares",
                            "alpha_central") == "t";
  };
  EXPECT_TRUE(Eventually(stock_is_whole, kPatience)) << heir.Log();
  for (const std::string& id : ids) EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE, kPatience)) << id;
  still.Signal(SIGCONT);
  // Over a connection that does not hold the lock it offers nothing.
  ASSERT_TRUE(Eventually([&] { return still.Said("spares cannot be kept now") > 0; }, kPatience)) << still.Log();
  for (const std::string& id : PublishMany(stack, 4)) {
    ASSERT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE, kPatience)) << id;
    EXPECT_EQ(NotesOf(stack, id), "none");
  }
  EXPECT_TRUE(Eventually(stock_is_whole)) << still.Log() << heir.Log();
  EXPECT_TRUE(Eventually([&] { return stack.Strays("alpha") == 0; }));
}

TEST(Several, ABackupThatStoodStillIsTakenByAnotherAndSpoilsNothingAfterwards) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  WriteNote(stack, id, "kept");
  const Stack::WithoutSupervisor alone(stack);
  stack.Kill("provisioner/alpha");
  Provisioner still(stack, "alpha", "before moving a backup into place:stop");
  ASSERT_EQ(stack.Run({"backup", "create", id}).exit_code, 0);
  ASSERT_TRUE(Eventually([&] { return still.Stopped(); }, kPatience)) << still.Log();
  Provisioner heir(stack, "alpha");
  const auto record = [&] {
    return stack.OnInstance("alpha",
                            "SELECT state || ' ' || attempts || ' ' || manifest_sha256 FROM leasehold.backups "
                            "WHERE tenant = '" +
                                id + "'",
                            "alpha_central");
  };
  ASSERT_TRUE(Eventually([&] { return record().starts_with("complete 1 "); }, kPatience)) << heir.Log();
  const std::string taken = record();
  still.Signal(SIGCONT);
  ASSERT_TRUE(Eventually([&] { return still.Said("backup failed; trying again") > 0; }, kPatience)) << still.Log();
  EXPECT_EQ(record(), taken);
  for (const auto& entry :
       std::filesystem::directory_iterator(absl::StrCat(stack.state_dir(), "/backups/", id, ".2"))) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
  }
  const std::string copy = FreshTenantId();
  const Stack::Output restored = stack.Run({"backup", "restore", absl::StrCat(id, ".2"), "--into", copy, "--wait"});
  EXPECT_EQ(restored.exit_code, 0) << restored.err;
  EXPECT_EQ(NotesOf(stack, copy), "kept");
}

}  // namespace
}  // namespace leasehold::testing
