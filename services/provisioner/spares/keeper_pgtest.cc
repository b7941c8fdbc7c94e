// Making and mending spares, on a real server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <format>
#include <thread>

#include "common/status/error.h"
#include "services/provisioner/spares/testing_spares.h"

namespace leasehold::provisioner {
namespace {

using ::testing::HasSubstr;

TEST_F(SparesTest, AsManyAreMadeAsAreAskedFor) {
  EXPECT_EQ(WorkAll(), 2);
  EXPECT_EQ(Stock(), "ready 1, ready 1");
  EXPECT_EQ(Staged(), "2 4");
  EXPECT_EQ(Says("SELECT count(*) FROM pg_roles WHERE starts_with(rolname, 'leasehold_new_') AND rolcanlogin"), "0");
  EXPECT_EQ(Says("SELECT sum(numbackends) FROM pg_stat_database WHERE starts_with(datname, 'leasehold_new_')"), "0");
  EXPECT_THAT(metrics_.Expose(), HasSubstr("leasehold_spares{state=\"ready\"} 2"));
  EXPECT_EQ(WorkAll(), 0);
}

TEST_F(SparesTest, ABrokenSpareIsNobodysUntilItIsMended) {
  WorkAll();
  const std::string broken = AnySpare();
  ASSERT_EQ(Says(std::format("ALTER ROLE leasehold_new_{}_ro RENAME TO elsewhere", broken)), "");
  EXPECT_FALSE(Want("unlucky").settled.has_value());
  EXPECT_EQ((*records_.Get(Id("unlucky")))->database_id, "") << "it goes the long way";
  EXPECT_EQ(Stock(), "building 1, ready 1");
  EXPECT_NE(Want("lucky").settled->database_id, broken);
  ASSERT_EQ(Says(std::format("ALTER ROLE elsewhere RENAME TO leasehold_new_{}_ro", broken)), "");
  clock_.Advance(absl::Seconds(1));  // the oldest is given first: what is made now is younger
  EXPECT_EQ(WorkAll(), 2);
  EXPECT_EQ(Want("next").settled->database_id, broken);
}

TEST_F(SparesTest, OneThatCanBeNeitherFinishedNorDroppedIsInNobodysWay) {
  WorkAll();
  const std::string stuck = AnySpare();
  MakeStuck(stuck);
  EXPECT_EQ(ReasonOf(keeper_->WorkOne().status()), v1::REASON_INSUFFICIENT_PRIVILEGE);
  EXPECT_EQ(WorkAll(), 1);
  EXPECT_EQ(Stock(), "building 1, ready 1, ready 1");
  ASSERT_EQ(Says(std::format("ALTER DATABASE leasehold_new_{0} OWNER TO leasehold_new_{0}", stuck)), "");
  EXPECT_EQ(WorkAll(), 0);
  clock_.Advance(absl::Minutes(2));
  EXPECT_EQ(WorkAll(), 1) << "it is dropped in the end, since there are enough";
  EXPECT_EQ(Stock(), "ready 1, ready 1");
}

TEST_F(SparesTest, AClockThatIsSetBackKeepsNothingFromBeingMade) {
  keeper_->Claimed(/*found=*/true);
  clock_.Advance(-absl::Hours(1));
  keeper_->Start();
  for (const absl::Time end = absl::Now() + absl::Seconds(60); Stock() != "ready 1, ready 1" && absl::Now() < end;) {
  }
  EXPECT_EQ(Stock(), "ready 1, ready 1");
  keeper_->Stop(absl::InfiniteDuration());
}

TEST_F(SparesTest, WhatWasStuckIsTriedAgainThoughTheClockWasSetBack) {
  WorkAll();
  const std::string stuck = AnySpare();
  MakeStuck(stuck);
  EXPECT_EQ(ReasonOf(keeper_->WorkOne().status()), v1::REASON_INSUFFICIENT_PRIVILEGE);
  ASSERT_EQ(Says(std::format("ALTER DATABASE leasehold_new_{0} OWNER TO leasehold_new_{0}", stuck)), "");
  clock_.Advance(-absl::Hours(1));
  EXPECT_EQ(WorkAll(), 1);
  EXPECT_EQ(Stock(), "ready 1, ready 1") << "finished";
}

TEST_F(SparesTest, OldOnesAreBroughtUpToDateAndNeverGivenAwayBefore) {
  WorkAll();
  const std::string spare = AnySpare();
  Start({kFirst, kSecond}, 2);
  EXPECT_FALSE(Want("impatient").settled.has_value());
  EXPECT_EQ(WorkAll(), 2);
  EXPECT_EQ(Stock(), "ready 2, ready 2");
  EXPECT_EQ(AnySpare(), spare) << "migrated, not made again";
  const Claims::Wanted wanted = Want("modern");
  ASSERT_TRUE(wanted.settled.has_value());
  EXPECT_EQ(wanted.settled->schema_version, 2);
  EXPECT_EQ(test_->Ask("tenant_modern_identity", "SELECT count(*) FROM note"), "0");

  Start({kFirst}, 2);  // of an older provisioner, which keeps the spares now
  EXPECT_FALSE(Want("old-fashioned").settled.has_value());
  EXPECT_EQ(WorkAll(), 3) << "the newer one's is dropped";
  EXPECT_EQ(Stock(), "ready 1, ready 1");
}

TEST_F(SparesTest, AMendedFileOfTheSameNumberIsInWhatANewTenantGets) {
  constexpr std::pair<std::string_view, std::string_view> kMended = {"0002_note.sql",
                                                                     "CREATE TABLE note (text text NOT NULL);"};
  Start({kFirst, kSecond}, 2);
  EXPECT_EQ(WorkAll(), 2);
  files_.Set(*MigrationsOf({kFirst, kMended}));
  EXPECT_FALSE(Want("hasty").settled.has_value()) << "the number alone does not make it fit";
  EXPECT_EQ(WorkAll(), 4) << "two are dropped and two are made";
  EXPECT_EQ(Stock(), "ready 2, ready 2");
  ASSERT_TRUE(Want("mended").settled.has_value());
  EXPECT_EQ(test_->Ask("tenant_mended_identity",
                       "SELECT attnotnull FROM pg_attribute WHERE attrelid = 'note'::regclass AND attnum = 1"),
            "t");
}

TEST_F(SparesTest, AFileThatWasOnlyLookedAtLeavesNoSpareBehind) {
  WorkAll();
  files_.Set(*MigrationsOf({kFirst, kSecond}));
  EXPECT_EQ(WorkAll(), 2);
  files_.Set(migrations_);
  EXPECT_EQ(WorkAll(), 4);
  EXPECT_EQ(Stock(), "ready 1, ready 1");
  EXPECT_EQ(Staged(), "2 4");
}

TEST_F(SparesTest, WhatAnOlderLeaseholdMadeIsLookedIntoBeforeItIsGivenAway) {
  WorkAll();
  const std::string spare = AnySpare();
  postgres::Connection login = test_->Login();
  // As version 7 of the records was.
  EXPECT_EQ(AskOver(login,
                    "ALTER TABLE leasehold.spares DROP COLUMN schema_digest; DROP FUNCTION leasehold.take_spare;"
                    "ALTER TABLE leasehold.tenants DROP COLUMN traceparent;"
                    "ALTER TABLE leasehold.runs DROP COLUMN calls;"
                    "CREATE FUNCTION leasehold.take_spare(wanted leasehold.tenants) RETURNS void LANGUAGE sql AS '';"
                    "UPDATE leasehold.schema_version SET version = 7"),
            "");
  ASSERT_EQ(PrepareCentral(test_->instance(), {}, GoOn), absl::OkStatus());
  EXPECT_EQ(CentralSays("SELECT count(*) FROM pg_proc WHERE proname = 'take_spare'"), "1");
  EXPECT_EQ(Stock(), "ready 1, ready 1");
  EXPECT_FALSE(Want("early").settled.has_value());
  EXPECT_EQ(WorkAll(), 2);
  ASSERT_TRUE(Want("later").settled.has_value());
  EXPECT_EQ((*records_.Get(Id("later")))->database_id, spare) << "it was as it should be";
}

TEST_F(SparesTest, FilesThatComeWhileItRunsAreFollowed) {
  WorkAll();
  files_.Set(*MigrationsOf({kFirst, kSecond}));
  EXPECT_FALSE(Want("hasty").settled.has_value()) << "from that moment on";
  EXPECT_EQ(WorkAll(), 2);
  EXPECT_EQ(Stock(), "ready 2, ready 2");
  const Claims::Wanted wanted = Want("newest");
  ASSERT_TRUE(wanted.settled.has_value());
  EXPECT_EQ(wanted.settled->schema_version, 2);
  EXPECT_EQ(CentralSays("SELECT max(version) FROM leasehold.schemas JOIN leasehold.spares USING (database_id)"), "2")
      << "the fleet's status says so too";
  Start({kFirst, kSecond}, 0);
  EXPECT_EQ(WorkAll(), 1);
}

TEST_F(SparesTest, AnotherRoleKeysSpareIsNotGivenAwayBeforeItHasNewSecrets) {
  WorkAll();
  ASSERT_EQ(CentralSays("UPDATE leasehold.spares SET role_key = 'old'"), "");
  const std::string spare = AnySpare();
  ASSERT_EQ(Says(std::format("ALTER ROLE leasehold_new_{} PASSWORD 'of another key'", spare)), "");
  EXPECT_FALSE(Want("keyless").settled.has_value());
  EXPECT_EQ(WorkAll(), 2);
  ASSERT_EQ(Want("keyed").settled->database_id, spare);
  EXPECT_EQ(As("keyed", spare, RoleKind::kOwner).Connect(), absl::OkStatus());
}

TEST_F(SparesTest, AKeeperThatWasKilledAnywhereLeavesNothingBehind) {
  const auto steps = TenantDatabase::Spare();
  const auto drops = TenantDatabase::NoSpare();
  int run = 0;
  const auto check = [&](std::initializer_list<std::span<const TenantDatabase::Step>> done) {
    SCOPED_TRACE(std::format("run {}", ++run));
    const std::string wanted = std::format("{:016x}", 0xabc00 + run);
    BeginAndStop(wanted, done);
    Start({kFirst}, 1);
    EXPECT_EQ(WorkAll(), 1);
    EXPECT_EQ(Stock(), "ready 1");
    ASSERT_EQ(Want(std::format("after-{}", run)).settled->database_id, wanted);
    BeginAndStop(std::format("{:016x}", 0xdef00 + run), done);
    Start({kFirst}, 0);
    EXPECT_EQ(WorkAll(), 1);
    EXPECT_EQ(Staged(), "0 0");
    EXPECT_EQ(Stock(), "");
  };
  for (size_t done = 0; done <= steps.size(); ++done) check({steps.first(done)});
  for (size_t done = 1; done <= drops.size(); ++done) check({steps, drops.first(done)});
}

TEST_F(SparesTest, WhoIsNoLongerTheKeeperWritesNothing) {
  EXPECT_EQ(WorkAll(), 2);
  const std::string spare = AnySpare();
  postgres::Connection former = test_->Login();
  for (const absl::Status& status :
       {BeginSpare(former, "00000000000000ee", clock_.Now()), OfferSpare(former, spare, {}),
        WithdrawSpare(former, spare).status(), ForgetSpare(former, spare)}) {
    EXPECT_EQ(ReasonOf(status), v1::REASON_INSTANCE_UNAVAILABLE) << status;
  }
  EXPECT_EQ(Stock(), "ready 1, ready 1");
  EXPECT_EQ(CentralSays(std::format("SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE objid = {} AND granted",
                                    kKeeperLock)),
            "t");
  ASSERT_TRUE(Want("meanwhile").settled.has_value());
  if (const auto broken = keeper_->WorkOne(); !broken.ok()) {
    EXPECT_EQ(ReasonOf(broken.status()), v1::REASON_INSTANCE_UNAVAILABLE) << broken.status();
  }
  EXPECT_GE(WorkAll(), 0);
  EXPECT_EQ(Stock(), "ready 1, ready 1") << "a new session, and the lock again";
}

TEST_F(SparesTest, AForeignDatabaseThatBearsASparesNameIsNotTouched) {
  WorkAll();
  const std::string spare = AnySpare();
  const std::string name = StagingName(spare);
  ASSERT_EQ(Says(std::format("DROP DATABASE {}", name)), "");
  // Even one that the provisioner's login could rename and drop.
  ASSERT_EQ(Says(std::format("CREATE DATABASE {} OWNER {}", name, test_->instance().login())), "");
  ASSERT_EQ(test_->Ask(name, "CREATE TABLE theirs (id int)"), "");
  EXPECT_NE(Want("first").settled->database_id, spare);
  EXPECT_FALSE(Want("second").settled.has_value());
  EXPECT_EQ(ReasonOf(keeper_->WorkOne().status()), v1::REASON_NAME_TAKEN);
  EXPECT_EQ(WorkAll(), 2) << "and it is in nobody's way";
  EXPECT_EQ(Stock(), "building 1, ready 1, ready 1");
  clock_.Advance(absl::Minutes(2));
  EXPECT_EQ(ReasonOf(keeper_->WorkOne().status()), v1::REASON_NAME_TAKEN);
  EXPECT_EQ(test_->Ask(name, "SELECT count(*) FROM theirs"), "0");
  ASSERT_EQ(Says(std::format("DROP DATABASE {}", name)), "");
}

TEST_F(SparesTest, AForeignRoleThatBearsASparesNameIsNotTouched) {
  WorkAll();
  const std::string spare = AnySpare();
  const std::string name = StagingReadOnlyRole(spare);
  ASSERT_EQ(Says(std::format("ALTER ROLE {} RENAME TO ours", name)), "");
  ASSERT_EQ(Says(std::format("CREATE ROLE {}", name)), "");
  EXPECT_FALSE(Want("warned").settled.has_value());
  EXPECT_EQ(ReasonOf(keeper_->WorkOne().status()), v1::REASON_NAME_TAKEN);
  EXPECT_EQ(WorkAll(), 1);
  EXPECT_EQ(Stock(), "ready 1, ready 1");
  EXPECT_EQ(Says(std::format("SELECT count(*) FROM pg_roles WHERE rolname = '{}'", name)), "1");
  ASSERT_EQ(Says(std::format("DROP ROLE {}, ours", name)), "");
}

TEST_F(SparesTest, ASpareThatIsGoneIsMadeAgainBeforeSomebodyFindsOut) {
  WorkAll();
  const std::string spare = AnySpare();
  ASSERT_EQ(Says(std::format("DROP DATABASE {}", StagingName(spare))), "");
  EXPECT_EQ(WorkAll(), 1);
  EXPECT_THAT(metrics_.Expose(), HasSubstr("leasehold_spares{state=\"ready\"} 2"));
  EXPECT_EQ(Want("unaware").settled->database_id, spare);
}

TEST_F(SparesTest, WhatCannotBeMigratedIsDropped) {
  Start({{"0001_bad.sql", "SELECT 1/0;"}}, 1);
  const auto worked = keeper_->WorkOne();
  EXPECT_EQ(ReasonOf(worked.status()), v1::REASON_MIGRATION_FAILED) << worked.status();
  EXPECT_EQ(Stock(), "");
  EXPECT_EQ(Staged(), "0 0");
}

TEST_F(SparesTest, OfTwoProvisionersOneKeepsThemAndTheOtherTakesOver) {
  SpareKeeper other({.min_spares = 2, .max_spares = 2, .tenant_migrations = migrations_}, KeeperParts());
  EXPECT_EQ(WorkAll(), 2);
  ASSERT_TRUE(Want("one").settled.has_value());
  const auto idle = other.WorkOne();
  ASSERT_TRUE(idle.ok()) << idle.status();
  EXPECT_FALSE(*idle) << "though one is missing";
  EXPECT_EQ(Stock(), "ready 1");
  keeper_.reset();  // its session ends, and with it the lock
  absl::StatusOr<bool> worked = false;
  for (int i = 0; i < 1000 && worked.ok() && !*worked; ++i) worked = other.WorkOne();
  EXPECT_TRUE(worked.ok() && *worked) << worked.status();
  EXPECT_EQ(Stock(), "ready 1, ready 1");
}

TEST_F(SparesTest, TheStockGrowsWithDemandWhoeverClaims) {
  keeper_.reset();
  keeper_ = std::make_unique<SpareKeeper>(
      SpareKeeper::Options{.min_spares = 1, .max_spares = 3, .tenant_migrations = migrations_}, KeeperParts());
  EXPECT_EQ(WorkAll(), 1);
  for (int i = 0; i < 4; ++i) Want(std::format("grow-{}", i));  // one is given a spare, the others find none
  EXPECT_EQ(WorkAll(), 2) << "four in a minute are two in half of it";
  clock_.Advance(absl::Hours(2));
  EXPECT_EQ(WorkAll(), 1);
  EXPECT_EQ(Stock(), "ready 1") << "and shrinks";
}

TEST_F(SparesTest, TheThreadFillsTheStockAndGivesWay) {
  std::atomic<bool> quiet = false;
  std::atomic<int> asked = 0;
  SpareKeeper::Parts parts = KeeperParts();
  const SystemClock clock;
  parts.await_quiet = [&](absl::Duration) {
    ++asked;
    if (!quiet) std::this_thread::yield();
    return quiet.load();
  };
  keeper_.reset();
  SpareKeeper keeper(
      {.min_spares = 1, .max_spares = 1, .tenant_migrations = migrations_},
      {.instance = parts.instance, .clock = clock, .metrics = metrics_, .await_quiet = parts.await_quiet});
  keeper.Start();
  const absl::Time end = absl::Now() + absl::Seconds(60);
  while (asked < 10 && absl::Now() < end) std::this_thread::yield();
  EXPECT_EQ(Stock(), "") << "tenants are worked on";
  quiet = true;
  while (Stock() != "ready 1" && absl::Now() < end) std::this_thread::yield();
  EXPECT_EQ(Stock(), "ready 1");
  EXPECT_TRUE(keeper.Stop());
}

TEST_F(SparesTest, NoneIsBegunWhileClaimsGoOnAndSomeAreLeft) {
  keeper_.reset();
  AwaitNoKeeper();
  keeper_ = std::make_unique<SpareKeeper>(
      SpareKeeper::Options{.min_spares = 2, .max_spares = 2, .tenant_migrations = migrations_}, KeeperParts());
  keeper_->Start();
  const auto await = [&](std::string_view stock) {
    const absl::Time end = absl::Now() + absl::Seconds(60);
    while (Stock() != stock && absl::Now() < end) std::this_thread::yield();
    return Stock() == stock;
  };
  ASSERT_TRUE(await("ready 1, ready 1"));
  ASSERT_TRUE(Want("now").settled.has_value());
  // In the time that another takes to make.
  ASSERT_EQ(MakeSlowly("meanwhile-made", "00000000000000ab"), absl::OkStatus());
  EXPECT_EQ(Stock(), "ready 1") << "by this clock, the claim was just now";
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(await("ready 1, ready 1"));
}

}  // namespace
}  // namespace leasehold::provisioner
