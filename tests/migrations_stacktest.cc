// Migrations over a fleet, on a stack as users run it: by the command line, with files that come and change while the
// provisioner runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>
#include <map>
#include <string>

#include "tests/stack/fleet.h"

namespace leasehold::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kTenants = 12;

Fleet& TheFleet() {
  static auto* const fleet = [] {
    static Fleet instance(kTenants);
    return &instance;
  }();
  return *fleet;
}

TEST(Migrations, AFileIsPlannedTriedAppliedAndCounted) {
  Fleet& fleet = TheFleet();
  EXPECT_THAT(fleet.Migrate({"status", "alpha"}).out, HasSubstr("13 databases, 0 behind, 0 differ"));
  const std::string file = fleet.Add("plain", "CREATE TABLE plain (i int);\nINSERT INTO plain VALUES (1);");
  EXPECT_THAT(fleet.Migrate({"status", "alpha"}).out, AllOf(HasSubstr("12 behind"), HasSubstr("tenant_t07_alpha")));
  EXPECT_THAT(fleet.Migrate({"plan", "alpha"}).out,
              AllOf(HasSubstr(file), HasSubstr("INSERT INTO plain VALUES (1);"), HasSubstr("tenant_t12_alpha")));
  EXPECT_EQ(fleet.CountWith("plain"), 0);
  const Stack::Output tried = fleet.Migrate({"dry-run", "alpha"});
  EXPECT_EQ(tried.exit_code, 0) << tried.err;
  EXPECT_EQ(fleet.CountWith("plain"), 0);

  const Stack::Output applied = fleet.Migrate({"apply", "alpha", "--canary", "t03", "--waves", "25", "--json"});
  EXPECT_EQ(applied.exit_code, 0) << applied.err;
  EXPECT_EQ(fleet.CountWith("plain"), kTenants);
  EXPECT_THAT(applied.out, AllOf(HasSubstr("\"tenant\":\"t03\""), HasSubstr("MIGRATION_RUN_STATE_SUCCEEDED")));
  EXPECT_EQ(fleet.Central("SELECT max(wave) FROM leasehold.run_tasks WHERE run = (SELECT max(id) FROM leasehold.runs)"),
            "3");
  EXPECT_THAT(fleet.Migrate({"status", "alpha"}).out, HasSubstr("0 behind"));
  const std::string fresh = fleet.stack().CreateTenant(FreshTenantId("new"));
  EXPECT_EQ(fleet.stack().OnInstance("alpha", "SELECT count(*) FROM plain", "tenant_" + fresh + "_alpha"), "1");
  const Stack::Output verified = fleet.Migrate({"verify", "alpha"});
  EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
}

TEST(Migrations, AThirdStatementThatFailsInOneDatabaseStopsTheRunAndIsRetried) {
  Fleet& fleet = TheFleet();
  ASSERT_EQ(fleet.In(9, "CREATE TABLE in_the_way (i int)"), "");
  const std::string file =
      fleet.Add("third", "CREATE TABLE third (i int);\nSELECT 1;\nCREATE TABLE in_the_way (i int);\n");
  const Stack::Output stopped = fleet.Migrate({"apply", "alpha", "--parallelism", "1"});
  EXPECT_EQ(stopped.exit_code, 1);
  EXPECT_THAT(stopped.out, AllOf(HasSubstr("tenant_t09_alpha"), HasSubstr(file + " line 3, statement 3 (42P07)"),
                                 HasSubstr("CREATE TABLE in_the_way")));
  EXPECT_THAT(stopped.err, HasSubstr("stopped"));
  EXPECT_FALSE(fleet.Has(9, "third")) << "all of the file or nothing";
  EXPECT_EQ(fleet.CountWith("third"), 8);
  const std::string run = fleet.NewestRun();
  ASSERT_EQ(fleet.In(9, "DROP TABLE in_the_way"), "");
  const Stack::Output retried = fleet.Migrate({"retry", run, "--failed"});
  EXPECT_EQ(retried.exit_code, 0) << retried.out << retried.err;
  EXPECT_EQ(fleet.CountWith("third"), kTenants);
  EXPECT_EQ(fleet.NewestRun(), run) << "the same run";
}

TEST(Migrations, ALockHeldByASessionFailsThatDatabaseAndItsSessionGoesOn) {
  Fleet& fleet = TheFleet();
  fleet.Add("locked", "ALTER TABLE notes ADD locked int;");
  {
    pqxx::connection session(fleet.stack().Acquire(Fleet::Tenant(4), "alpha").credentials().dsn());
    pqxx::work holds(session);
    holds.exec("INSERT INTO notes VALUES (1)");
    const Stack::Output applied =
        fleet.Migrate({"apply", "alpha", "--failures", "1", "--lock-timeout", "100ms", "--lock-attempts", "2"});
    EXPECT_EQ(applied.exit_code, 1);
    EXPECT_THAT(applied.out, AllOf(HasSubstr("tenant_t04_alpha"), HasSubstr("55P03"), HasSubstr("1 failed")));
    holds.commit();
  }
  const Stack::Output retried = fleet.Migrate({"retry", fleet.NewestRun()});
  EXPECT_EQ(retried.exit_code, 0) << retried.err;
  EXPECT_EQ(fleet.In(4, "SELECT count(locked) + count(*) FROM notes"), "1");
}

TEST(Migrations, AProvisionerKilledInTheMiddleGoesOnWhereItWas) {
  Fleet& fleet = TheFleet();
  fleet.Add("slow",
            "CREATE TABLE slow (i int);\nSELECT pg_advisory_xact_lock_shared(7);\nINSERT INTO slow VALUES (1);");
  // Both workers come to stand in these two, in the middle of the file, and the run can end when the test says so.
  std::map<int, pqxx::connection> in_the_way;
  for (const int i : {5, 8}) {
    in_the_way.emplace(i, fleet.stack().InstanceDsn("alpha", Fleet::Database(i)));
    pqxx::nontransaction(in_the_way.at(i)).exec("SELECT pg_advisory_lock(7)");
  }
  ASSERT_EQ(fleet.Migrate({"apply", "alpha", "--parallelism", "2", "--lock-timeout", "5m", "--detach"}).exit_code, 0);
  const std::string run = fleet.NewestRun();
  ASSERT_TRUE(Eventually([&] { return fleet.CountWith("slow") == 6; }));
  fleet.stack().KillAndAwait("provisioner/alpha");
  in_the_way.erase(5);
  ASSERT_TRUE(Eventually([&] { return fleet.CountWith("slow") == kTenants - 1; }));
  EXPECT_EQ(fleet.StateOf(run), "running");
  fleet.stack().KillAndAwait("provisioner/alpha");
  EXPECT_FALSE(fleet.Has(8, "slow"));
  in_the_way.clear();
  const Stack::Output watched = fleet.Migrate({"watch", run});
  EXPECT_EQ(watched.exit_code, 0) << watched.out << watched.err;
  for (int i = 1; i <= kTenants; ++i) EXPECT_EQ(fleet.In(i, "SELECT count(*) FROM slow"), "1") << i;
}

TEST(Migrations, AnInstanceThatCrashesInTheMiddleIsWaitedFor) {
  Fleet& fleet = TheFleet();
  fleet.Add("crash", "CREATE TABLE crash (i int);\nSELECT pg_sleep(0.3);\nINSERT INTO crash VALUES (1);");
  ASSERT_EQ(fleet.Migrate({"apply", "alpha", "--parallelism", "2", "--detach"}).exit_code, 0);
  const std::string run = fleet.NewestRun();
  ASSERT_TRUE(Eventually([&] { return fleet.CountWith("crash") >= 2; }));
  fleet.stack().KillAndAwait("postgres/alpha");
  const Stack::Output watched = fleet.Migrate({"watch", run});
  EXPECT_EQ(watched.exit_code, 0) << watched.out << watched.err;
  for (int i = 1; i <= kTenants; ++i) EXPECT_EQ(fleet.In(i, "SELECT count(*) FROM crash"), "1") << i;
}

TEST(Migrations, OneRunAtATimeWhichCanBeCancelledAndResumed) {
  Fleet& fleet = TheFleet();
  fleet.Add("long", "CREATE TABLE long (i int);\nSELECT pg_sleep(0.5);");
  ASSERT_EQ(fleet.Migrate({"apply", "alpha", "--parallelism", "1", "--detach"}).exit_code, 0);
  const std::string run = fleet.NewestRun();
  EXPECT_THAT(fleet.Migrate({"apply", "alpha"}).err, HasSubstr("another run of this service is under way"));
  ASSERT_TRUE(Eventually([&] { return fleet.CountWith("long") >= 1; }));
  const Stack::Output cancelled = fleet.Migrate({"cancel", run});
  EXPECT_EQ(cancelled.exit_code, 0) << cancelled.err;
  EXPECT_THAT(cancelled.out, HasSubstr("is cancelled"));
  const int had = fleet.CountWith("long");
  EXPECT_LT(had, kTenants);
  EXPECT_EQ(fleet.Migrate({"resume", run}).exit_code, 0);
  EXPECT_EQ(fleet.CountWith("long"), kTenants);
}

TEST(Migrations, ATenantCreatedDuringARunEndsAtTheNewestVersion) {
  Fleet& fleet = TheFleet();
  fleet.Add("meanwhile", "CREATE TABLE meanwhile (i int);\nSELECT pg_sleep(0.3);");
  ASSERT_EQ(fleet.Migrate({"apply", "alpha", "--parallelism", "1", "--detach"}).exit_code, 0);
  const std::string fresh = fleet.stack().CreateTenant(FreshTenantId("mid"));
  EXPECT_EQ(fleet.StateOf(fleet.NewestRun()), "running") << "the tenant came too late to test anything";
  EXPECT_EQ(fleet.stack().OnInstance("alpha", "SELECT count(*) FROM meanwhile", "tenant_" + fresh + "_alpha"), "0");
  EXPECT_EQ(fleet.Migrate({"watch", fleet.NewestRun()}).exit_code, 0);
}

TEST(Migrations, SparesFollowNewFilesAndAreGivenAwayAtTheNewestVersionOnly) {
  Fleet fleet(/*tenants=*/1, /*spares=*/2);
  const auto ready_at = [&fleet](int version) {
    return fleet.Central(
        std::format("SELECT count(*) FROM leasehold.spares WHERE state = 'ready' AND schema_version = {}", version));
  };
  ASSERT_TRUE(Eventually([&] { return ready_at(1) == "2"; }));
  const std::string spares = "SELECT string_agg(database_id, ' ' ORDER BY database_id) FROM leasehold.spares";
  const std::string before = fleet.Central(spares);
  fleet.Add("followed", "CREATE TABLE followed (i int);");
  EXPECT_THAT(fleet.Migrate({"status", "alpha"}).out, HasSubstr("behind"));
  ASSERT_TRUE(Eventually([&] { return ready_at(2) == "2"; }));
  EXPECT_EQ(fleet.Central(spares), before) << "migrated, not made again";
  EXPECT_FALSE(fleet.Has(1, "followed")) << "nobody began a run";
  const std::string fresh = fleet.stack().CreateTenant(FreshTenantId("new"));
  EXPECT_THAT(
      before,
      HasSubstr(fleet.Central(std::format("SELECT database_id FROM leasehold.tenants WHERE id = '{}'", fresh))));
  EXPECT_EQ(fleet.stack().OnInstance("alpha", "SELECT count(*) FROM followed", "tenant_" + fresh + "_alpha"), "0");
  EXPECT_THAT(fleet.Migrate({"status", "alpha"}).out, HasSubstr("1 behind")) << "the old tenant";

  // In the course of a run as well: what is made meanwhile, whichever way, is as new as the run.
  fleet.Add("slowly", "CREATE TABLE slowly (i int);\nSELECT pg_sleep(0.3);");
  ASSERT_EQ(fleet.Migrate({"apply", "alpha", "--detach"}).exit_code, 0);
  const std::string meanwhile = fleet.stack().CreateTenant(FreshTenantId("mid"));
  EXPECT_EQ(fleet.stack().OnInstance("alpha", "SELECT count(*) FROM slowly", "tenant_" + meanwhile + "_alpha"), "0");
  EXPECT_EQ(fleet.Migrate({"watch", fleet.NewestRun()}).exit_code, 0);
  EXPECT_TRUE(Eventually([&] { return ready_at(3) == "2"; }));
  EXPECT_THAT(fleet.Migrate({"status", "alpha"}).out, HasSubstr("0 behind, 0 differ"));
}

TEST(Migrations, AnEditedFileIsFoundShownAndRepaired) {
  Fleet& fleet = TheFleet();
  const std::string file = fleet.Add("edited", "CREATE TABLE edited (i int);");
  ASSERT_EQ(fleet.Migrate({"apply", "alpha"}).exit_code, 0);
  fleet.Write(file, "-- with a comment now\nCREATE TABLE edited (i int);");
  fleet.Add("after", "CREATE TABLE after_it (i int);");
  const Stack::Output refused = fleet.Migrate({"apply", "alpha"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("nothing was written"), HasSubstr(file + ": was edited")));
  EXPECT_THAT(fleet.Migrate({"plan", "alpha"}).out, AllOf(HasSubstr("what apply would stop at"), HasSubstr(file)));
  EXPECT_EQ(fleet.CountWith("after_it"), 0);
  const Stack::Output verified = fleet.Migrate({"verify", "alpha"});
  EXPECT_EQ(verified.exit_code, 1);
  EXPECT_THAT(verified.out, AllOf(HasSubstr(" more"), HasSubstr(file), HasSubstr("was edited")));
  const Stack::Output shown = fleet.Migrate({"repair", "alpha", file, "--without-central"});
  EXPECT_EQ(shown.exit_code, 1) << "there is something to be settled";
  EXPECT_THAT(shown.out, HasSubstr("was edited"));
  EXPECT_EQ(fleet.Migrate({"verify", "alpha"}).exit_code, 1) << "shown is not settled";
  const Stack::Output repaired = fleet.Migrate({"repair", "alpha", file, "--without-central", "--accept-file"});
  EXPECT_EQ(repaired.exit_code, 0) << repaired.out << repaired.err;
  EXPECT_THAT(repaired.out, AllOf(HasSubstr("agrees now"), Not(HasSubstr("error"))));
  EXPECT_EQ(fleet.Migrate({"repair", "alpha", file, "--without-central"}).exit_code, 0) << "there is nothing any more";
  EXPECT_THAT(fleet.Migrate({"cancel", fleet.NewestRun()}).err, HasSubstr("has ended"));
  EXPECT_EQ(fleet.Migrate({"verify", "alpha"}).exit_code, 0);
  EXPECT_EQ(fleet.Migrate({"apply", "alpha"}).exit_code, 0);
  EXPECT_EQ(fleet.CountWith("after_it"), kTenants);
}

TEST(Migrations, AMissingFileAndDriftAreListed) {
  Fleet& fleet = TheFleet();
  const std::string file = fleet.Add("missing", "CREATE TABLE missing (i int);");
  ASSERT_EQ(fleet.Migrate({"apply", "alpha"}).exit_code, 0);
  ASSERT_EQ(fleet.In(2, "ALTER TABLE missing ADD by_hand int"), "");
  Stack::Output verified = fleet.Migrate({"verify", "alpha", "--tenant", "t02", "--tenant", "t03"});
  EXPECT_EQ(verified.exit_code, 1);
  EXPECT_THAT(verified.out, AllOf(HasSubstr("tenant_t02_alpha"), HasSubstr("column public.missing.by_hand"),
                                  Not(HasSubstr("tenant_t03_alpha"))));
  ASSERT_EQ(fleet.In(2, "ALTER TABLE missing DROP by_hand"), "");
  fleet.Remove(file);
  verified = fleet.Migrate({"verify", "alpha", "--tenant", "t02"});
  EXPECT_EQ(verified.exit_code, 1);
  EXPECT_THAT(verified.out, AllOf(HasSubstr(file), HasSubstr("missing from the folder")));
  fleet.Write(file, "CREATE TABLE missing (i int);");
  EXPECT_EQ(fleet.Migrate({"verify", "alpha"}).exit_code, 0);
}

TEST(Migrations, UndoTakesBackTheNamedRun) {
  Fleet& fleet = TheFleet();
  const std::string file = fleet.Add("undone", "CREATE TABLE undone (i int);", "DROP TABLE undone;");
  ASSERT_EQ(fleet.Migrate({"apply", "alpha"}).exit_code, 0);
  const std::string run = fleet.NewestRun();
  const Stack::Output undone = fleet.Migrate({"undo", run});
  EXPECT_EQ(undone.exit_code, 0) << undone.out << undone.err;
  EXPECT_EQ(fleet.CountWith("undone"), 0);
  EXPECT_THAT(fleet.Migrate({"status", "alpha"}).out, HasSubstr("behind"));
  EXPECT_EQ(fleet.Migrate({"apply", "alpha"}).exit_code, 0);
  EXPECT_EQ(fleet.CountWith("undone"), kTenants);
}

TEST(Migrations, ATenantRestoredFromAnOldBackupIsBroughtUpToDate) {
  Fleet& fleet = TheFleet();
  const Stack::Output taken = fleet.stack().Run({"backup", "create", Fleet::Tenant(1), "--wait"});
  ASSERT_EQ(taken.exit_code, 0) << taken.err;
  const std::string backup =
      fleet.stack().OnInstance("alpha", "SELECT max(id) FROM leasehold.backups", "alpha_central");
  fleet.Add("newer", "CREATE TABLE newer (i int);");
  ASSERT_EQ(fleet.Migrate({"apply", "alpha"}).exit_code, 0);
  const Stack::Output restored = fleet.stack().Run({"backup", "restore", backup, "--in-place", "--wait"});
  ASSERT_EQ(restored.exit_code, 0) << restored.err;
  EXPECT_TRUE(fleet.Has(1, "newer"));
  EXPECT_THAT(fleet.Migrate({"status", "alpha"}).out, HasSubstr("0 behind, 0 differ"));
}

TEST(Migrations, WhatIsNotThereIsSaid) {
  Fleet& fleet = TheFleet();
  EXPECT_THAT(fleet.Migrate({"status", "nowhere"}).err, HasSubstr("nowhere"));
  EXPECT_THAT(fleet.Migrate({"watch", "alpha.9999"}).err, HasSubstr("there is no run alpha.9999"));
  EXPECT_THAT(fleet.Migrate({"cancel", "rubbish"}).err, HasSubstr("there is no run rubbish"));
  EXPECT_THAT(fleet.Migrate({"apply", "alpha", "--canary-where", "ring=none"}).err,
              HasSubstr("--canary-where is 'ring=none'"));
  EXPECT_THAT(fleet.Migrate({"plan", "alpha", "--tenant", "nosuch"}).err, HasSubstr("--tenant is 'nosuch'"));
  EXPECT_THAT(fleet.Migrate({"apply", "alpha", "--lock-timeout", "0"}).err, HasSubstr("--lock-timeout is '0'"));
  EXPECT_THAT(fleet.Migrate({"repair", "alpha", "0002"}).err, HasSubstr("FILE is '0002'"));
  fleet.Write("9999_bad.sql", "SELECT 'never closed");
  EXPECT_THAT(fleet.Migrate({"apply", "alpha"}).err, AllOf(HasSubstr("9999_bad.sql"), HasSubstr("never closed")));
  fleet.Remove("9999_bad.sql");
}

}  // namespace
}  // namespace leasehold::testing
