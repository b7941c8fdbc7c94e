#include "services/provisioner/reconcile/reconciler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <postgresql/libpq-fe.h>

#include <algorithm>
#include <format>
#include <memory>

#include "services/provisioner/reconcile/reconciler_fixture.h"

namespace leasehold::provisioner {
namespace {

using ::testing::HasSubstr;

using HalfLogIn = std::unique_ptr<PGconn, decltype([](PGconn* c) { PQfinish(c); })>;

// One that the server has answered and that says no more.
HalfLogIn BeginLogIn(int port) {
  HalfLogIn c(PQconnectStart(
      std::format("host=127.0.0.1 port={} user=postgres dbname=postgres sslmode=disable gssencmode=disable", port)
          .c_str()));
  pollfd ready{.fd = PQsocket(c.get()), .events = POLLOUT, .revents = 0};
  for (PostgresPollingStatusType next = PGRES_POLLING_WRITING; next == PGRES_POLLING_WRITING;) {
    EXPECT_EQ(poll(&ready, 1, 20'000), 1);
    next = PQconnectPoll(c.get());
    EXPECT_NE(next, PGRES_POLLING_FAILED) << PQerrorMessage(c.get());
  }
  ready.events = POLLIN;
  EXPECT_EQ(poll(&ready, 1, 20'000), 1);
  return c;
}

TEST_F(ReconcilerTest, WhatTheRegistryWantsComesToBeAndThenNothingIsLeftToDo) {
  gateway_.Set("one", 1, v1::DESIRED_STATE_PRESENT);
  gateway_.Set("two", 4, v1::DESIRED_STATE_CLOSED);
  EXPECT_EQ(PassAndWork(), 2);
  EXPECT_EQ(Get("one").state, v1::SERVICE_STATE_READY);
  EXPECT_EQ(Get("one").schema_version, 1);
  EXPECT_EQ(Get("two").state, v1::SERVICE_STATE_CLOSED);
  EXPECT_EQ(Get("two").state_generation, 4);
  EXPECT_EQ(CanLogIn("one"), "t");
  EXPECT_EQ(CanLogIn("two"), "f");
  EXPECT_EQ(PassAndWork(), 0);
  EXPECT_EQ(statuses_ >= 2, true);
}

TEST_F(ReconcilerTest, AnEventAloneProvisionsWhileTheGatewayIsDown) {
  gateway_.SetDown(true);
  ASSERT_EQ(reconciler_->Want(Id("alone"), {.state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  EXPECT_EQ(WorkAll(), 1);
  EXPECT_EQ(Get("alone").state, v1::SERVICE_STATE_READY);
  EXPECT_EQ(PassAndWork(), 0) << "a pass without the gateway goes by the records";
  EXPECT_THAT(health_.Json(), HasSubstr("gateway"));
}

TEST_F(ReconcilerTest, DoubledAndStaleEventsChangeNothing) {
  ASSERT_EQ(reconciler_->Want(Id("dup"), {.generation = 3, .state = v1::DESIRED_STATE_CLOSED}), absl::OkStatus());
  EXPECT_EQ(WorkAll(), 1);
  for (const int64_t generation : {3, 2, 1}) {
    ASSERT_EQ(reconciler_->Want(Id("dup"), {.generation = generation, .state = v1::DESIRED_STATE_PRESENT}),
              absl::OkStatus());
  }
  EXPECT_EQ(WorkAll(), 0);
  EXPECT_EQ(CanLogIn("dup"), "f");
}

TEST_F(ReconcilerTest, AClockThatIsSetBackPutsNoAttemptOff) {
  test_->Ask("postgres", "CREATE DATABASE tenant_early_identity");
  ASSERT_EQ(reconciler_->Want(Id("early"), {.state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  EXPECT_EQ(WorkAll(), 1);
  ASSERT_EQ(Get("early").state, v1::SERVICE_STATE_FAILED);
  ASSERT_EQ(reconciler_->TakeOver(), absl::OkStatus());
  EXPECT_EQ(WorkAll(), 0) << "its pause is not over";
  test_->Ask("postgres", "DROP DATABASE tenant_early_identity");
  clock_.Advance(-absl::Hours(1));
  ASSERT_EQ(reconciler_->TakeOver(), absl::OkStatus());
  WorkAll();
  EXPECT_EQ(Get("early").state, v1::SERVICE_STATE_READY);
}

TEST_F(ReconcilerTest, WhatAProvisionerWithAFastClockLeftIsTakenUp) {
  ASSERT_EQ(reconciler_->Want(Id("fast"), {.state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  clock_.Advance(-absl::Hours(1));
  Restart({});
  ASSERT_EQ(reconciler_->TakeOver(), absl::OkStatus());
  EXPECT_EQ(WorkAll(), 1);
  EXPECT_EQ(Get("fast").state, v1::SERVICE_STATE_READY);
}

TEST_F(ReconcilerTest, ANewerGenerationIsReportedEvenIfNothingChanges) {
  ASSERT_EQ(reconciler_->Want(Id("bump"), {.generation = 1, .state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  WorkAll();
  const std::string database_id = Get("bump").database_id;
  ASSERT_EQ(reconciler_->Want(Id("bump"), {.generation = 2, .state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  WorkAll();
  EXPECT_EQ(Get("bump").state_generation, 2);
  EXPECT_EQ(Get("bump").database_id, database_id);
}

TEST_F(ReconcilerTest, AFailureIsTriedAgainAfterItsBackoffAndOnlyThen) {
  ASSERT_EQ(test_->Ask("postgres", "CREATE DATABASE tenant_taken_identity"), "");
  gateway_.Set("taken", 1, v1::DESIRED_STATE_PRESENT);
  EXPECT_EQ(PassAndWork(), 1);
  const TenantRecord failed = Get("taken");
  EXPECT_EQ(failed.state, v1::SERVICE_STATE_FAILED);
  EXPECT_THAT(failed.message, HasSubstr("tenant_taken_identity exists"));
  EXPECT_EQ(failed.attempts, 1);
  ASSERT_TRUE(failed.next_attempt_time.has_value());
  EXPECT_GE(*failed.next_attempt_time, clock_.Now() + absl::Milliseconds(500));
  EXPECT_LE(*failed.next_attempt_time, clock_.Now() + absl::Seconds(1));
  EXPECT_EQ(PassAndWork(), 0);
  EXPECT_THAT(metrics_.Expose(), HasSubstr("leasehold_provisioner_failures_total{reason=\"NAME_TAKEN\"} 1"));
  EXPECT_THAT(metrics_.Expose(), HasSubstr("leasehold_provisioner_queue{state=\"later\"} 1"));

  clock_.Advance(absl::Seconds(2));
  EXPECT_EQ(WorkAll(), 1);
  EXPECT_EQ(Get("taken").attempts, 2);
  ASSERT_EQ(test_->Ask("postgres", "DROP DATABASE tenant_taken_identity"), "");
  clock_.Advance(absl::Seconds(10));
  EXPECT_EQ(WorkAll(), 1);
  EXPECT_EQ(Get("taken").state, v1::SERVICE_STATE_READY);
}

TEST_F(ReconcilerTest, ANewDesireDoesNotWaitForTheBackoff) {
  ASSERT_EQ(test_->Ask("postgres", "CREATE DATABASE tenant_eager_identity"), "");
  ASSERT_EQ(reconciler_->Want(Id("eager"), {.generation = 1, .state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  WorkAll();
  ASSERT_EQ(test_->Ask("postgres", "DROP DATABASE tenant_eager_identity"), "");
  ASSERT_EQ(reconciler_->Want(Id("eager"), {.generation = 2, .state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  EXPECT_EQ(WorkAll(), 1);
  EXPECT_EQ(Get("eager").state, v1::SERVICE_STATE_READY);
}

TEST_F(ReconcilerTest, WhatWasDamagedByHandIsMended) {
  gateway_.Set("drift", 1, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  test_->Ask("postgres", "GRANT CONNECT ON DATABASE tenant_drift_identity TO PUBLIC");
  EXPECT_EQ(PassAndWork(), 1);
  test_->Ask("postgres", "ALTER ROLE tenant_drift_identity NOLOGIN");
  EXPECT_EQ(PassAndWork(), 1);
  EXPECT_EQ(CanLogIn("drift"), "t");
  EXPECT_EQ(PassAndWork(), 0);
}

TEST_F(ReconcilerTest, WhatWasSetAsideAndNotDroppedGoesWithTheNextPass) {
  const auto set_aside = [](std::string_view database, std::string_view number) {
    return test_->Ask("postgres", std::format("DO $$ BEGIN EXECUTE (SELECT format('ALTER DATABASE %I RENAME TO "
                                              "leasehold_drop_%s', datname, {}) FROM pg_database "
                                              "WHERE datname = '{}'); END $$",
                                              number, database));
  };
  gateway_.Set("aside", 1, v1::DESIRED_STATE_PRESENT);
  gateway_.Set("wrong", 1, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  ASSERT_EQ(test_->Ask("postgres", "CREATE DATABASE theirs"), "");
  ASSERT_EQ(set_aside("tenant_aside_identity", "oid"), "");
  ASSERT_EQ(set_aside("tenant_wrong_identity", "1"), "");
  ASSERT_EQ(set_aside("theirs", "oid"), "");
  EXPECT_EQ(reconciler_->Pass(), absl::OkStatus());
  EXPECT_EQ(test_->Ask("postgres",
                       "SELECT string_agg(CASE WHEN datname = 'leasehold_drop_' || oid THEN 'theirs' ELSE "
                       "datname END, ' ' ORDER BY oid) FROM pg_database WHERE starts_with(datname, "
                       "'leasehold_drop_')"),
            "leasehold_drop_1 theirs")
      << "what lacks the mark, or the number, is not Leasehold's doing";
  test_->Ask("postgres", "DROP DATABASE leasehold_drop_1");
}

TEST_F(ReconcilerTest, AVanishedDatabaseIsMadeAgainAndCounted) {
  gateway_.Set("lost", 1, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  ASSERT_EQ(test_->Ask("postgres", "DROP DATABASE tenant_lost_identity"), "");
  EXPECT_EQ(PassAndWork(), 1);
  EXPECT_EQ(Exists("lost"), "1");
  EXPECT_EQ(test_->Ask("tenant_lost_identity", "SELECT count(*) FROM note"), "0") << "migrated again";
  EXPECT_THAT(metrics_.Expose(), HasSubstr("leasehold_provisioner_recreated_total 1"));
}

TEST_F(ReconcilerTest, ARestartWithNewMigrationsBringsThemToAll) {
  gateway_.Set("grow", 1, v1::DESIRED_STATE_PRESENT);
  gateway_.Set("shut", 1, v1::DESIRED_STATE_CLOSED);
  PassAndWork();
  Restart(
      {{"0001_note.sql", "CREATE TABLE note (text text);"}, {"0002_more.sql", "ALTER TABLE note ADD at timestamptz;"}});
  EXPECT_EQ(PassAndWork(), 1);
  EXPECT_EQ(Get("grow").schema_version, 2);
  EXPECT_EQ(Get("shut").schema_version, 1);
  gateway_.Set("shut", 2, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  EXPECT_EQ(Get("shut").schema_version, 2) << "when it opens";
}

TEST_F(ReconcilerTest, WhatTheRegistryBelievesWronglyIsReportedAgain) {
  gateway_.Set("told", 1, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  const std::vector<TenantRecord> unreported = *records_.Unreported(100);
  ASSERT_EQ(unreported.size(), 1);
  for (const TenantRecord& record : unreported) ASSERT_EQ(records_.MarkReported(record), absl::OkStatus());
  gateway_.Set("told", 1, v1::DESIRED_STATE_PRESENT, v1::SERVICE_STATE_READY, 1);
  PassAndWork();
  EXPECT_TRUE(records_.Unreported(100)->empty());
  gateway_.Set("told", 1, v1::DESIRED_STATE_PRESENT, v1::SERVICE_STATE_FAILED, 1);
  PassAndWork();
  EXPECT_EQ(records_.Unreported(100)->size(), 1);
}

TEST_F(ReconcilerTest, AKilledAttemptIsTakenUpByTheNextProcess) {
  // The record of an attempt that got as far as a half-built database.
  ASSERT_EQ(reconciler_->Want(Id("killed"), {.generation = 1, .state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  const std::string database_id = *records_.AssignDatabaseId(Id("killed"), "0123456789abcdef");
  {
    postgres::Connection central = test_->Login();
    const Migrations none;
    TenantDatabase half(test_->instance(), none, central, {.tenant = Id("killed"), .database_id = database_id});
    ASSERT_EQ(half.Run(TenantDatabase::Present().first(2), [] { return absl::OkStatus(); }), absl::OkStatus());
  }
  Restart({{"0001_note.sql", "CREATE TABLE note (text text);"}});
  gateway_.SetDown(true);
  EXPECT_EQ(PassAndWork(), 1);
  EXPECT_EQ(Get("killed").state, v1::SERVICE_STATE_READY);
  EXPECT_EQ(Get("killed").database_id, database_id);
  EXPECT_EQ(test_->Ask("postgres", "SELECT count(*) FROM pg_database WHERE starts_with(datname, 'leasehold_new_')"),
            "0");
}

TEST_F(ReconcilerTest, AnInstanceThatIsDownIsWaitedFor) {
  ASSERT_EQ(reconciler_->Want(Id("down"), {.generation = 1, .state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  test_->server().Stop();
  EXPECT_EQ(ReasonOf(reconciler_->Want(Id("other"), {.state = v1::DESIRED_STATE_PRESENT})),
            v1::REASON_INSTANCE_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(reconciler_->Pass()), v1::REASON_INSTANCE_UNAVAILABLE);
  EXPECT_THAT(gateway_.trouble(), ::testing::StartsWith("comparing all tenants: "));
  EXPECT_TRUE(reconciler_->WorkOne());
  EXPECT_FALSE(reconciler_->WorkOne()) << "not again at once";
  ASSERT_EQ(test_->server().Restart(), absl::OkStatus());
  clock_.Advance(absl::Seconds(10));
  EXPECT_GE(WorkAll(), 1);
  EXPECT_EQ(Get("down").state, v1::SERVICE_STATE_READY);
  EXPECT_EQ(Get("down").attempts, 1) << "an outage is nothing a tenant did";
  EXPECT_EQ(reconciler_->Pass(), absl::OkStatus());
  EXPECT_EQ(gateway_.trouble(), "");
}

TEST_F(ReconcilerTest, AGatewayThatWasAwayForLongIsHeardSoonAfterItIsBack) {
  gateway_.Set("leaving", 1, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  gateway_.SetDown(true);
  // As after many failures: neither the timer nor the backoff would look again within this test.
  Restart({{"0001_note.sql", "CREATE TABLE note (text text);"}}, absl::Hours(1));
  reconciler_->Start();
  ASSERT_EQ(reconciler_->Want(Id("leaving"), {.generation = 2, .state = v1::DESIRED_STATE_ABSENT}), absl::OkStatus());
  ASSERT_TRUE(Eventually([&] { return CanLogIn("leaving") == "f"; }));
  gateway_.Set("leaving", 2, v1::DESIRED_STATE_ABSENT);
  gateway_.SetDown(false);
  EXPECT_TRUE(Eventually([&] { return Exists("leaving") == "0"; })) << "nobody told it that the gateway is back";
  EXPECT_TRUE(reconciler_->Stop(absl::Seconds(30)));
}

TEST_F(ReconcilerTest, ThreadsDoTheSame) {
  for (int i = 0; i < 6; ++i) gateway_.Set(std::format("many-{}", i), 1, v1::DESIRED_STATE_PRESENT);
  reconciler_->Start();
  const absl::Time patience = absl::Now() + absl::Seconds(60);
  while ((*records_.CountByState())[v1::SERVICE_STATE_READY] < 6 && absl::Now() < patience) {
    absl::SleepFor(absl::Milliseconds(20));
  }
  EXPECT_EQ((*records_.CountByState())[v1::SERVICE_STATE_READY], 6);
  EXPECT_TRUE(reconciler_->Stop(absl::Seconds(30)));
}

// Long before the next pass would be due.
TEST_F(ReconcilerTest, WhatWasReportedIsLookedAtAgainSoonAfterItsTenantIsMended) {
  const auto is_reported = [this] {
    return std::ranges::any_of(gateway_.findings(), [](const v1::Finding& f) { return f.tenant() == "mended"; });
  };
  ASSERT_EQ(test_->Ask("postgres", "CREATE DATABASE tenant_mended_identity"), "");
  gateway_.Set("mended", 1, v1::DESIRED_STATE_PRESENT);
  reconciler_->Start();
  ASSERT_TRUE(Eventually([&] { return is_reported() && Get("mended").state == v1::SERVICE_STATE_FAILED; }));
  ASSERT_EQ(test_->Ask("postgres", "DROP DATABASE tenant_mended_identity"), "");
  gateway_.Set("mended", 2, v1::DESIRED_STATE_PRESENT);
  ASSERT_EQ(reconciler_->Want(Id("mended"), {.generation = 2, .state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  EXPECT_TRUE(Eventually([&] { return Get("mended").state == v1::SERVICE_STATE_READY; }));
  EXPECT_TRUE(Eventually([&] { return !is_reported(); }));
  EXPECT_TRUE(reconciler_->Stop(absl::Seconds(30)));
}

// PostgreSQL lets no DROP DATABASE end before it.
TEST_F(ReconcilerTest, ALogInThatStandsStillHoldsUpRemovalsAndNothingElse) {
  for (int i = 0; i < 4; ++i) gateway_.Set(std::format("gone-{}", i), 1, v1::DESIRED_STATE_PRESENT);
  ASSERT_EQ(PassAndWork(), 4);
  for (int i = 0; i < 4; ++i) gateway_.Set(std::format("gone-{}", i), 2, v1::DESIRED_STATE_ABSENT);
  HalfLogIn stranger = BeginLogIn(test_->server().port());
  reconciler_->Start();
  const auto held_up = [] {
    return test_->Ask("postgres",
                      "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ProcSignalBarrier' "
                      "AND query LIKE 'DROP DATABASE%'");
  };
  ASSERT_TRUE(Eventually([&] { return held_up() == "1"; }));
  ASSERT_EQ(reconciler_->Want(Id("new"), {.generation = 1, .state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  EXPECT_TRUE(Eventually([&] { return Get("new").state == v1::SERVICE_STATE_READY; }));
  EXPECT_EQ(held_up(), "1");
  stranger.reset();
  EXPECT_TRUE(Eventually([&] { return (*records_.CountByState())[v1::SERVICE_STATE_REMOVED] == 4; }));
  EXPECT_TRUE(reconciler_->Stop(absl::Seconds(30)));
}

TEST_F(ReconcilerTest, WhatAnotherHadRecordedWhenItDiedIsTakenUpWithinSeconds) {
  reconciler_->Start();
  const auto passes = [this] { return metrics_.Expose().contains("leasehold_provisioner_passes_total 1"); };
  ASSERT_TRUE(Eventually(passes));
  ASSERT_EQ(*records_.Want(Id("orphan"), {.generation = 1, .state = v1::DESIRED_STATE_PRESENT}), true);
  clock_.Advance(absl::Seconds(3));
  const absl::Time begin = absl::Now();
  ASSERT_TRUE(Eventually([&] { return Get("orphan").state == v1::SERVICE_STATE_READY; }));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10)) << "the next pass is an hour away";
  EXPECT_TRUE(reconciler_->Stop(absl::Seconds(30)));
}

}  // namespace
}  // namespace leasehold::provisioner
