#include "services/provisioner/reconcile/reconciler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>
#include <functional>

#include "common/status/error.h"
#include "services/provisioner/testing/fake_gateway.h"
#include "services/provisioner/testing/test_instance.h"

namespace leasehold::provisioner {
namespace {

using ::testing::HasSubstr;

TenantId Id(std::string_view text) { return *TenantId::Parse(text); }

class ReconcilerTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto started = TestInstance::Start();
    ASSERT_TRUE(started.ok()) << started.status();
    test_ = started->release();
  }
  static void TearDownTestSuite() { delete test_; }

  void SetUp() override {
    Restart({{"0001_note.sql", "CREATE TABLE note (text text);"}});
    test_->Ask("identity_central", "TRUNCATE leasehold.tenants");
  }

  // As if the daemon had been killed and started: only what PostgreSQL holds is left.
  void Restart(std::initializer_list<std::pair<std::string_view, std::string_view>> files,
               absl::Duration min_backoff = absl::Seconds(1)) {
    reconciler_.reset();
    auto migrations = MigrationsOf(files);
    ASSERT_TRUE(migrations.ok()) << migrations.status();
    reconciler_ = std::make_unique<Reconciler>(Reconciler::Options{.resync_interval = absl::Hours(1),
                                                                   .min_backoff = min_backoff,
                                                                   .max_backoff = 8 * min_backoff,
                                                                   .parallelism = 2,
                                                                   .tenant_migrations = *migrations,
                                                                   .central_migrations = {}},
                                               Reconciler::Parts{.instance = test_->instance(),
                                                                 .central = pool_,
                                                                 .records = records_,
                                                                 .desired = gateway_,
                                                                 .instance_health = instance_health_,
                                                                 .gateway_health = gateway_health_,
                                                                 .clock = clock_,
                                                                 .metrics = metrics_,
                                                                 .on_status = [this] { ++statuses_; }});
    ASSERT_EQ(reconciler_->Prepare(), absl::OkStatus());
  }

  static bool Eventually(const std::function<bool()>& condition) {
    const absl::Time end = absl::Now() + absl::Seconds(20);
    while (!condition()) {
      if (absl::Now() > end) return false;
      absl::SleepFor(absl::Milliseconds(20));
    }
    return true;
  }
  int WorkAll() {
    int worked = 0;
    while (reconciler_->WorkOne()) ++worked;
    return worked;
  }
  int PassAndWork() {
    EXPECT_EQ(reconciler_->Pass(), absl::OkStatus());
    return WorkAll();
  }
  TenantRecord Get(std::string_view id) { return **records_.Get(Id(id)); }
  static std::string Exists(std::string_view id) {
    return test_->Ask("postgres",
                      std::format("SELECT count(*) FROM pg_database WHERE datname = 'tenant_{}_identity'", id));
  }
  static std::string CanLogIn(std::string_view id) {
    return test_->Ask("postgres",
                      std::format("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'tenant_{}_identity'", id));
  }

  static inline TestInstance* test_ = nullptr;
  FakeClock clock_;
  Metrics metrics_;
  Health health_{clock_};
  Dependency instance_health_{health_, "instance"};
  Dependency gateway_health_{health_, "gateway"};
  postgres::ConnectionPool pool_{test_->instance().AsLogin("identity_central"), 4};
  Records records_{pool_, clock_};
  FakeGateway gateway_;
  int statuses_ = 0;
  std::unique_ptr<Reconciler> reconciler_;
};

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

TEST_F(ReconcilerTest, ANewerGenerationIsReportedEvenIfNothingChanges) {
  ASSERT_EQ(reconciler_->Want(Id("bump"), {.generation = 1, .state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  WorkAll();
  const std::string database_id = Get("bump").database_id;
  ASSERT_EQ(reconciler_->Want(Id("bump"), {.generation = 2, .state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  WorkAll();
  EXPECT_EQ(Get("bump").state_generation, 2);
  EXPECT_EQ(Get("bump").database_id, database_id);
}

TEST_F(ReconcilerTest, AnEventAloneRemovesNothing) {
  gateway_.Set("keep", 1, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  gateway_.SetDown(true);
  ASSERT_EQ(reconciler_->Want(Id("keep"), {.generation = 2, .state = v1::DESIRED_STATE_ABSENT}), absl::OkStatus());
  WorkAll();
  PassAndWork();
  EXPECT_EQ(Exists("keep"), "1");
  EXPECT_EQ(CanLogIn("keep"), "f") << "but nobody gets in any more";
  EXPECT_EQ(Get("keep").state, v1::SERVICE_STATE_PENDING);

  gateway_.SetDown(false);
  gateway_.Set("keep", 2, v1::DESIRED_STATE_ABSENT);
  PassAndWork();
  EXPECT_EQ(Exists("keep"), "0");
  EXPECT_EQ(Get("keep").state, v1::SERVICE_STATE_REMOVED);
  EXPECT_EQ(PassAndWork(), 0);
}

TEST_F(ReconcilerTest, ARemovalThatTheRegistryTookBackRemovesNothing) {
  gateway_.Set("back", 1, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  ASSERT_EQ(reconciler_->Want(Id("back"), {.generation = 2, .state = v1::DESIRED_STATE_ABSENT}), absl::OkStatus());
  gateway_.Set("back", 3, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  EXPECT_EQ(Exists("back"), "1");
  EXPECT_EQ(CanLogIn("back"), "t");
}

TEST_F(ReconcilerTest, AGenerationThatTheRegistryDoesNotKnowLastsUntilTheNextListing) {
  constexpr int64_t kBogus = int64_t{1} << 60;
  gateway_.Set("fenced", 1, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  ASSERT_EQ(reconciler_->Want(Id("fenced"), {.generation = kBogus, .state = v1::DESIRED_STATE_CLOSED}),
            absl::OkStatus());
  WorkAll();
  EXPECT_EQ(CanLogIn("fenced"), "f");
  PassAndWork();
  EXPECT_EQ(CanLogIn("fenced"), "t");
  EXPECT_EQ(Get("fenced").generation, 1);
  EXPECT_EQ(Get("fenced").state, v1::SERVICE_STATE_READY);
  EXPECT_EQ(Get("fenced").state_generation, 1);
  EXPECT_EQ(PassAndWork(), 0);
  ASSERT_EQ(reconciler_->Want(Id("fenced"), {.generation = 2, .state = v1::DESIRED_STATE_CLOSED}), absl::OkStatus());
  WorkAll();
  EXPECT_EQ(CanLogIn("fenced"), "f") << "the registry's next word is heard";
}

TEST_F(ReconcilerTest, AnEventThatComesWhileTheListIsOnItsWayIsNewerThanTheList) {
  gateway_.Set("racing", 1, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  gateway_.Meanwhile([&] {
    ASSERT_EQ(reconciler_->Want(Id("racing"), {.generation = 2, .state = v1::DESIRED_STATE_CLOSED}), absl::OkStatus());
  });
  PassAndWork();
  EXPECT_EQ(Get("racing").generation, 2);
  EXPECT_EQ(CanLogIn("racing"), "f");
  // Also when the record that the pass saw is one to be overruled.
  gateway_.Set("racing", 1, v1::DESIRED_STATE_PRESENT);
  gateway_.Meanwhile([&] {
    ASSERT_EQ(reconciler_->Want(Id("racing"), {.generation = 3, .state = v1::DESIRED_STATE_CLOSED}), absl::OkStatus());
  });
  PassAndWork();
  EXPECT_EQ(Get("racing").generation, 3);
  gateway_.Set("racing", 3, v1::DESIRED_STATE_CLOSED);
  PassAndWork();
  EXPECT_EQ(Get("racing").generation, 3);
  EXPECT_TRUE(Get("racing").confirmed);
}

TEST_F(ReconcilerTest, ARestoredRegistryIsFollowedButDropsNothingThatItForgot) {
  gateway_.Set("kept", 5, v1::DESIRED_STATE_PRESENT);
  gateway_.Set("forged", 1, v1::DESIRED_STATE_ABSENT);
  PassAndWork();
  test_->Ask("tenant_kept_identity", "INSERT INTO note VALUES ('precious')");
  ASSERT_EQ(reconciler_->Want(Id("forged"), {.generation = 9, .state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  WorkAll();
  ASSERT_EQ(Exists("forged"), "1");
  gateway_.Set("kept", 3, v1::DESIRED_STATE_CLOSED);
  PassAndWork();
  EXPECT_EQ(Get("kept").generation, 3);
  EXPECT_EQ(CanLogIn("kept"), "f");
  EXPECT_EQ(Exists("forged"), "0") << "no registry ever wanted it";

  gateway_.Set("kept", 2, v1::DESIRED_STATE_ABSENT);
  PassAndWork();
  PassAndWork();
  EXPECT_EQ(Exists("kept"), "1");
  EXPECT_EQ(Get("kept").generation, 3);
  gateway_.Set("kept", 3, v1::DESIRED_STATE_PRESENT);  // made again
  PassAndWork();
  EXPECT_EQ(test_->Ask("tenant_kept_identity", "SELECT text FROM note"), "precious");
  EXPECT_EQ(CanLogIn("kept"), "t");
}

TEST_F(ReconcilerTest, ATombstoneKeepsOldEventsOutAndANewTenantIn) {
  gateway_.Set("tomb", 1, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  const std::string first = Get("tomb").database_id;
  gateway_.Set("tomb", 2, v1::DESIRED_STATE_ABSENT);
  PassAndWork();
  gateway_.Clear();
  ASSERT_EQ(reconciler_->Want(Id("tomb"), {.generation = 1, .state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  ASSERT_EQ(reconciler_->Want(Id("tomb"), {.state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  PassAndWork();
  EXPECT_EQ(Exists("tomb"), "0");
  gateway_.Set("tomb", 3, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  EXPECT_EQ(Exists("tomb"), "1");
  EXPECT_NE(Get("tomb").database_id, first) << "a new tenant does not get the old one's passwords";
}

TEST_F(ReconcilerTest, ANewTenantNeverGetsTheDatabaseOfAPurgedOne) {
  gateway_.SetNew("again", 1);
  PassAndWork();
  const std::string first = Get("again").database_id;
  test_->Ask("tenant_again_identity", "INSERT INTO note VALUES ('of another customer')");
  // It was purged and made again while this service was out of the configuration: generations 2 and 3 came to nobody.
  gateway_.SetNew("again", 4);
  PassAndWork();
  EXPECT_EQ(Get("again").state, v1::SERVICE_STATE_READY);
  EXPECT_EQ(Get("again").state_generation, 4);
  EXPECT_NE(Get("again").database_id, first);
  EXPECT_EQ(test_->Ask("tenant_again_identity", "SELECT count(*) FROM note"), "0");
  EXPECT_EQ(PassAndWork(), 0);
}

TEST_F(ReconcilerTest, AnEventOfANewTenantNeitherOpensNorDropsWhatThePurgedOneLeft) {
  gateway_.SetNew("event", 1);
  PassAndWork();
  const std::string first = Get("event").database_id;
  gateway_.SetDown(true);
  ASSERT_EQ(reconciler_->Want(Id("event"), {.generation = 3, .state = v1::DESIRED_STATE_ABSENT}), absl::OkStatus());
  WorkAll();
  ASSERT_EQ(
      reconciler_->Want(Id("event"), {.generation = 4, .state = v1::DESIRED_STATE_PRESENT, .create_generation = 4}),
      absl::OkStatus());
  WorkAll();
  PassAndWork();
  EXPECT_EQ(CanLogIn("event"), "f");
  EXPECT_EQ(Get("event").database_id, first);
  EXPECT_EQ(Get("event").state, v1::SERVICE_STATE_PENDING);
  gateway_.SetDown(false);
  gateway_.SetNew("event", 4);
  PassAndWork();
  EXPECT_EQ(CanLogIn("event"), "t");
  EXPECT_NE(Get("event").database_id, first);
}

TEST_F(ReconcilerTest, AnEventThatMakesUpANewTenantCostsNoData) {
  gateway_.SetNew("made-up", 1);
  PassAndWork();
  const std::string first = Get("made-up").database_id;
  ASSERT_EQ(
      reconciler_->Want(Id("made-up"), {.generation = 9, .state = v1::DESIRED_STATE_PRESENT, .create_generation = 9}),
      absl::OkStatus());
  WorkAll();
  EXPECT_EQ(CanLogIn("made-up"), "f");
  PassAndWork();
  EXPECT_EQ(CanLogIn("made-up"), "t");
  EXPECT_EQ(Get("made-up").database_id, first);
}

TEST_F(ReconcilerTest, AnAnnouncedTenantKeepsItsDatabaseWhenTheRegistryMakesItItsOwn) {
  gateway_.SetDown(true);
  ASSERT_EQ(reconciler_->Want(Id("announced"), {.state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  WorkAll();
  const std::string first = Get("announced").database_id;
  gateway_.SetDown(false);
  gateway_.SetNew("announced", 7);
  PassAndWork();
  EXPECT_EQ(Get("announced").database_id, first);
  EXPECT_EQ(Get("announced").state_generation, 7);
  gateway_.SetNew("announced", 10);
  PassAndWork();
  EXPECT_NE(Get("announced").database_id, first);
}

TEST_F(ReconcilerTest, WhatWasMadeForAnAnnouncementStaysUntilTheRegistryRefusesIt) {
  ASSERT_EQ(reconciler_->Want(Id("refused"), {.state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  WorkAll();
  PassAndWork();
  EXPECT_EQ(Exists("refused"), "1") << "the registry may not have heard of it yet";
  EXPECT_THAT(metrics_.Expose(), HasSubstr("leasehold_provisioner_unlisted_tenants 1"));
  gateway_.Set("refused", 1, v1::DESIRED_STATE_ABSENT);
  PassAndWork();
  EXPECT_EQ(Exists("refused"), "0");
  EXPECT_EQ(Get("refused").state, v1::SERVICE_STATE_REMOVED);
  EXPECT_EQ(Get("refused").state_generation, 1);
  EXPECT_THAT(metrics_.Expose(), HasSubstr("leasehold_provisioner_unlisted_tenants 0"));
  ASSERT_EQ(reconciler_->Want(Id("refused"), {.state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  EXPECT_EQ(WorkAll(), 0) << "the announcement comes late";
  gateway_.SetNew("refused", 2);
  PassAndWork();
  EXPECT_EQ(Get("refused").state, v1::SERVICE_STATE_READY);
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
  EXPECT_TRUE(reconciler_->WorkOne());
  EXPECT_FALSE(reconciler_->WorkOne()) << "not again at once";
  ASSERT_EQ(test_->server().Restart(), absl::OkStatus());
  clock_.Advance(absl::Seconds(10));
  EXPECT_GE(WorkAll(), 1);
  EXPECT_EQ(Get("down").state, v1::SERVICE_STATE_READY);
  EXPECT_EQ(Get("down").attempts, 1) << "an outage is nothing a tenant did";
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

}  // namespace
}  // namespace leasehold::provisioner
