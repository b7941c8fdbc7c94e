#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>
#include <thread>
#include <vector>

#include "common/status/error.h"
#include "services/provisioner/state/central.h"
#include "services/provisioner/state/records.h"
#include "services/provisioner/steps/claimer.h"
#include "services/provisioner/testing/instance_suite.h"

namespace leasehold::provisioner {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::Pair;

absl::Status GoOn() { return absl::OkStatus(); }

TenantId Id(std::string_view text) { return *TenantId::Parse(text); }

class StateTest : public InstanceSuite {
 protected:
  static void SetUpTestSuite() {
    ASSERT_NO_FATAL_FAILURE(StartInstance());
    ASSERT_EQ(PrepareCentral(test_->instance(), {}, GoOn), absl::OkStatus());
    pool_ = new postgres::ConnectionPool(test_->instance().AsLogin("identity_central"), 2);
  }
  static void TearDownTestSuite() {
    delete pool_;
    InstanceSuite::TearDownTestSuite();
  }
  void SetUp() override { test_->Ask("identity_central", "TRUNCATE leasehold.tenants"); }

  bool Want(std::string_view id, std::optional<int64_t> generation, v1::DesiredState state, bool confirmed = false) {
    const auto changed = records_.Want(Id(id), {.generation = generation, .state = state, .confirmed = confirmed});
    EXPECT_TRUE(changed.ok()) << changed.status();
    return changed.ok() && *changed;
  }
  // An attempt that began just before.
  bool Finish(std::string_view id, int64_t generation, const Outcome& outcome) {
    TenantRecord record = Get(id);
    record.generation = generation;
    const auto finished = records_.Finish(record, outcome);
    EXPECT_TRUE(finished.ok()) << finished.status();
    return finished.ok() && finished->has_value();
  }
  TenantRecord Get(std::string_view id) { return **records_.Get(Id(id)); }

  postgres::Connection Central(RoleKind kind) {
    return postgres::Connection(test_->instance().AsRole(
        "identity_central", kind == RoleKind::kOwner ? "identity_central" : "identity_central_ro", "central", kind));
  }

  static inline postgres::ConnectionPool* pool_ = nullptr;
  FakeClock clock_;
  Records records_{*pool_, clock_};
};

TEST_F(StateTest, GenerationsOnlyRise) {
  EXPECT_TRUE(Want("acme", 2, v1::DESIRED_STATE_PRESENT));
  EXPECT_FALSE(Want("acme", 2, v1::DESIRED_STATE_PRESENT)) << "the same again";
  EXPECT_FALSE(Want("acme", 1, v1::DESIRED_STATE_ABSENT)) << "an older one";
  EXPECT_FALSE(Want("acme", 2, v1::DESIRED_STATE_CLOSED)) << "the same generation, from an event";
  EXPECT_EQ(Get("acme").desired, v1::DESIRED_STATE_PRESENT);
  EXPECT_TRUE(Want("acme", 3, v1::DESIRED_STATE_CLOSED));
  EXPECT_EQ(Get("acme").generation, 3);
  EXPECT_EQ(Get("acme").desired, v1::DESIRED_STATE_CLOSED);
}

TEST_F(StateTest, KeepsTheTraceOfWhatAskedForTheGeneration) {
  const std::string one = ToTraceparent(NewTrace(true)), two = ToTraceparent(NewTrace(true));
  const auto want = [this](Desire desire) { return *records_.Want(Id("acme"), desire); };
  EXPECT_TRUE(want({.generation = 1, .traceparent = one}));
  EXPECT_EQ(Get("acme").traceparent, one);
  // A list that does not know takes nothing away.
  EXPECT_TRUE(want({.generation = 1, .state = v1::DESIRED_STATE_CLOSED, .confirmed = true}));
  EXPECT_EQ(Get("acme").traceparent, one);
  EXPECT_TRUE(want({.generation = 2, .traceparent = two}));
  EXPECT_EQ(Get("acme").traceparent, two);
  EXPECT_FALSE(want({.generation = 1, .traceparent = one}));
  EXPECT_EQ(Get("acme").traceparent, two);
  EXPECT_TRUE(want({.generation = 3}));
  EXPECT_EQ(Get("acme").traceparent, "") << "which is nobody's who asked before";
}

TEST_F(StateTest, WithoutAGenerationOnlyTheUnknownIsRecorded) {
  EXPECT_TRUE(Want("acme", std::nullopt, v1::DESIRED_STATE_PRESENT));
  EXPECT_EQ(Get("acme").generation, 0);
  EXPECT_FALSE(Want("acme", std::nullopt, v1::DESIRED_STATE_CLOSED));
  EXPECT_TRUE(Want("acme", 1, v1::DESIRED_STATE_PRESENT));
  EXPECT_FALSE(Want("acme", std::nullopt, v1::DESIRED_STATE_PRESENT));
  EXPECT_EQ(Get("acme").generation, 1);
}

TEST_F(StateTest, TheRegistryConfirmsARemoval) {
  EXPECT_TRUE(Want("acme", 2, v1::DESIRED_STATE_ABSENT));
  EXPECT_FALSE(Get("acme").confirmed);
  EXPECT_TRUE(Want("acme", 2, v1::DESIRED_STATE_ABSENT, true));
  EXPECT_TRUE(Get("acme").confirmed);
  EXPECT_FALSE(Want("acme", 2, v1::DESIRED_STATE_ABSENT, true));
  EXPECT_TRUE(Want("acme", 2, v1::DESIRED_STATE_PRESENT, true)) << "of the same generation the registry's word counts";
}

TEST_F(StateTest, WhatAwaitsTheRegistrysWordIsKnownForSomeTime) {
  const auto awaits = [this] { return *records_.AwaitWord(absl::Seconds(2), absl::Seconds(30)); };
  EXPECT_TRUE(Want("doomed", 2, v1::DESIRED_STATE_ABSENT));
  EXPECT_TRUE(Want("made", 1, v1::DESIRED_STATE_PRESENT)) << "which destroys nothing";
  EXPECT_FALSE(awaits()) << "who heard of it has asked";
  clock_.Advance(absl::Seconds(3));
  EXPECT_TRUE(awaits());
  EXPECT_TRUE(Want("doomed", 2, v1::DESIRED_STATE_ABSENT, true));
  EXPECT_FALSE(awaits());
  EXPECT_TRUE(*records_.Want(Id("again"), {.generation = 4, .create_generation = 4}));
  clock_.Advance(absl::Seconds(3));
  EXPECT_TRUE(awaits());
  clock_.Advance(absl::Minutes(1));
  EXPECT_FALSE(awaits()) << "an announcement that the registry does not know";
}

TEST_F(StateTest, TheRegistryOverrulesTheRecordThatItWasHeldAgainst) {
  Want("acme", 9, v1::DESIRED_STATE_CLOSED);
  const Desire listed{.generation = 4, .state = v1::DESIRED_STATE_PRESENT, .confirmed = true};
  EXPECT_FALSE(*records_.Want(Id("acme"), listed));
  EXPECT_FALSE(*records_.Want(Id("acme"), listed, 8)) << "it has moved on since";
  EXPECT_FALSE(*records_.Want(Id("acme"), {.generation = 4, .state = v1::DESIRED_STATE_PRESENT}, 9)) << "an event";
  EXPECT_TRUE(*records_.Want(Id("acme"), listed, 9));
  EXPECT_EQ(Get("acme").generation, 4);
  EXPECT_EQ(Get("acme").desired, v1::DESIRED_STATE_PRESENT);
  EXPECT_TRUE(Get("acme").confirmed);
}

TEST_F(StateTest, ConfirmingChangesNothingElse) {
  Want("acme", 2, v1::DESIRED_STATE_PRESENT);
  ASSERT_TRUE(Finish("acme", 2, {.state = v1::SERVICE_STATE_READY}));
  const TenantRecord seen = Get("acme");
  ASSERT_EQ(records_.Confirm(seen, 2), absl::OkStatus());
  EXPECT_TRUE(Get("acme").confirmed);
  EXPECT_EQ(Get("acme").create_generation, 2);
  EXPECT_EQ(Get("acme").state, v1::SERVICE_STATE_READY);
  Want("acme", 3, v1::DESIRED_STATE_CLOSED);
  ASSERT_EQ(records_.Confirm(seen, 2), absl::OkStatus());
  EXPECT_FALSE(Get("acme").confirmed) << "of another generation";
}

TEST_F(StateTest, ADatabaseIdStaysUntilRemoved) {
  Want("acme", 1, v1::DESIRED_STATE_PRESENT);
  EXPECT_EQ(*records_.AssignDatabaseId(Id("acme"), "aaaaaaaaaaaaaaaa"), "aaaaaaaaaaaaaaaa");
  EXPECT_EQ(*records_.AssignDatabaseId(Id("acme"), "bbbbbbbbbbbbbbbb"), "aaaaaaaaaaaaaaaa");
  EXPECT_TRUE(Finish("acme", 1, {.state = v1::SERVICE_STATE_READY, .schema_version = 4, .role_key = "k"}));
  EXPECT_EQ(Get("acme").schema_version, 4);
  Want("acme", 2, v1::DESIRED_STATE_ABSENT, true);
  EXPECT_TRUE(Finish("acme", 2, {.state = v1::SERVICE_STATE_REMOVED}));
  EXPECT_EQ(Get("acme").database_id, "");
  EXPECT_EQ(Get("acme").schema_version, std::nullopt);
  EXPECT_FALSE(Want("acme", 1, v1::DESIRED_STATE_PRESENT)) << "an old event does not bring it back";
}

TEST_F(StateTest, ADatabaseBelongsToTheTenantThatItWasBegunFor) {
  Want("acme", std::nullopt, v1::DESIRED_STATE_PRESENT);
  ASSERT_TRUE(records_.AssignDatabaseId(Id("acme"), "aaaaaaaaaaaaaaaa").ok());
  ASSERT_TRUE(Finish("acme", 0, {.state = v1::SERVICE_STATE_READY}));
  const auto want = [this](int64_t generation, int64_t create_generation) {
    return *records_.Want(Id("acme"), {.generation = generation,
                                       .state = v1::DESIRED_STATE_PRESENT,
                                       .create_generation = create_generation,
                                       .confirmed = true});
  };
  ASSERT_TRUE(want(4, 4));
  EXPECT_FALSE(IsOutlived(Get("acme"))) << "an announcement's is nobody's yet";
  ASSERT_TRUE(Finish("acme", 4, {.state = v1::SERVICE_STATE_READY}));
  EXPECT_EQ(Get("acme").database_generation, 4);
  ASSERT_TRUE(want(5, 4));
  EXPECT_FALSE(IsOutlived(Get("acme")));
  ASSERT_TRUE(want(8, 7));
  EXPECT_TRUE(IsOutlived(Get("acme")));
  ASSERT_TRUE(want(9, 0));
  EXPECT_TRUE(IsOutlived(Get("acme"))) << "not said again, not forgotten";
  ASSERT_EQ(records_.ForgetDatabase(Id("acme"), "bbbbbbbbbbbbbbbb"), absl::OkStatus());
  EXPECT_NE(Get("acme").database_id, "") << "another one";
  ASSERT_EQ(records_.ForgetDatabase(Id("acme"), "aaaaaaaaaaaaaaaa"), absl::OkStatus());
  EXPECT_EQ(Get("acme").database_id, "");
  ASSERT_TRUE(records_.AssignDatabaseId(Id("acme"), "cccccccccccccccc").ok());
  EXPECT_EQ(Get("acme").database_generation, 9);
  // A generation that nobody gave lends a database no age.
  ASSERT_TRUE(*records_.Want(Id("globex"), {.generation = 99, .state = v1::DESIRED_STATE_PRESENT}));
  ASSERT_TRUE(records_.AssignDatabaseId(Id("globex"), "dddddddddddddddd").ok());
  ASSERT_TRUE(*records_.Want(
      Id("globex"), {.generation = 1, .state = v1::DESIRED_STATE_PRESENT, .create_generation = 1, .confirmed = true},
      99));
  EXPECT_EQ(Get("globex").database_generation, 1);
}

TEST_F(StateTest, AnOvertakenAttemptRecordsNothing) {
  Want("acme", 1, v1::DESIRED_STATE_PRESENT);
  Want("acme", 2, v1::DESIRED_STATE_CLOSED);
  EXPECT_FALSE(Finish("acme", 1, {.state = v1::SERVICE_STATE_READY}));
  EXPECT_EQ(Get("acme").state, v1::SERVICE_STATE_PENDING);
  EXPECT_THAT(*records_.Unreported(10), IsEmpty());
  const TenantRecord before = Get("acme");
  ASSERT_TRUE(Finish("acme", 2, {.state = v1::SERVICE_STATE_CLOSED}));
  EXPECT_FALSE(records_.Finish(before, {.state = v1::SERVICE_STATE_FAILED, .message = "late"})->has_value());
  EXPECT_EQ(Get("acme").state, v1::SERVICE_STATE_CLOSED) << "another's attempt has ended since this one began";
  EXPECT_EQ(Get("acme").attempts, 1);
}

TEST_F(StateTest, FailuresCountAndKeepWhatWasDone) {
  Want("acme", 1, v1::DESIRED_STATE_PRESENT);
  ASSERT_TRUE(Finish("acme", 1, {.state = v1::SERVICE_STATE_READY, .schema_version = 3, .role_key = "k"}));
  const absl::Time next = clock_.Now() + absl::Seconds(3);
  ASSERT_TRUE(Finish("acme", 1, {.state = v1::SERVICE_STATE_FAILED, .message = "no", .next_attempt_time = next}));
  const TenantRecord record = Get("acme");
  EXPECT_EQ(record.state, v1::SERVICE_STATE_FAILED);
  EXPECT_EQ(record.attempts, 2);
  EXPECT_EQ(record.next_attempt_time, next);
  EXPECT_EQ(record.schema_version, 3);
  EXPECT_EQ(record.role_key, "k");
  EXPECT_EQ(record.update_time, clock_.Now());
  ASSERT_TRUE(Want("acme", 2, v1::DESIRED_STATE_PRESENT));
  EXPECT_EQ(Get("acme").attempts, 0);
  EXPECT_EQ(Get("acme").next_attempt_time, std::nullopt);
}

TEST_F(StateTest, EveryStatusIsReportedOnceOrAgainOnDemand) {
  Want("acme", 1, v1::DESIRED_STATE_PRESENT);
  ASSERT_TRUE(Finish("acme", 1, {.state = v1::SERVICE_STATE_READY}));
  const auto unreported = *records_.Unreported(10);
  ASSERT_THAT(unreported, ElementsAre(Field(&TenantRecord::state, v1::SERVICE_STATE_READY)));
  // It changes while the first status is on its way.
  ASSERT_TRUE(Finish("acme", 1, {.state = v1::SERVICE_STATE_FAILED, .message = "x"}));
  ASSERT_EQ(records_.MarkReported(unreported[0]), absl::OkStatus());
  const auto second = *records_.Unreported(10);
  ASSERT_THAT(second, ElementsAre(Field(&TenantRecord::state, v1::SERVICE_STATE_FAILED)));
  ASSERT_EQ(records_.MarkReported(second[0]), absl::OkStatus());
  EXPECT_THAT(*records_.Unreported(10), IsEmpty());
  clock_.Advance(absl::Seconds(1));
  ASSERT_EQ(records_.ReportAgain(Id("acme")), absl::OkStatus());
  const auto again = *records_.Unreported(10);
  ASSERT_EQ(again.size(), 1);
  EXPECT_GT(again[0].status_version, second[0].status_version);
  EXPECT_EQ(again[0].update_time, clock_.Now()) << "it is said as of now";
}

TEST_F(StateTest, CountsByState) {
  Want("a", 1, v1::DESIRED_STATE_PRESENT);
  Want("b", 1, v1::DESIRED_STATE_PRESENT);
  ASSERT_TRUE(Finish("b", 1, {.state = v1::SERVICE_STATE_READY}));
  const auto counts = *records_.CountByState();
  EXPECT_THAT(counts, Contains(Pair(v1::SERVICE_STATE_PENDING, 1)));
  EXPECT_THAT(counts, Contains(Pair(v1::SERVICE_STATE_READY, 1)));
  EXPECT_THAT(counts, Contains(Pair(v1::SERVICE_STATE_FAILED, 0)));
}

TEST_F(StateTest, TheCentralDatabaseServesItsTwoRolesAndNobodyElse) {
  const auto migrations = MigrationsOf({{"0001_country.sql", "CREATE TABLE IF NOT EXISTS country (code text);"}});
  ASSERT_TRUE(migrations.ok());
  ASSERT_EQ(PrepareCentral(test_->instance(), *migrations, GoOn), absl::OkStatus());
  ASSERT_EQ(PrepareCentral(test_->instance(), *migrations, GoOn), absl::OkStatus());

  postgres::Connection owner = Central(RoleKind::kOwner);
  postgres::Connection reader = Central(RoleKind::kReadOnly);
  EXPECT_EQ(AskOver(owner, "INSERT INTO country VALUES ('se') RETURNING code"), "se");
  EXPECT_EQ(AskOver(owner, "CREATE TABLE own AS SELECT 1 AS i"), "");
  EXPECT_EQ(AskOver(reader, "SELECT code FROM country"), "se");
  EXPECT_EQ(AskOver(reader, "SELECT i FROM own"), "1");
  EXPECT_EQ(AskOver(reader, "INSERT INTO own VALUES (2)"), "error: 42501");
  for (postgres::Connection* connection : {&owner, &reader}) {
    EXPECT_EQ(AskOver(*connection, "SELECT count(*) FROM leasehold.tenants"), "error: 42501");
    EXPECT_EQ(AskOver(*connection, "DELETE FROM leasehold.migrations"), "error: 42501");
  }
  EXPECT_EQ(AskOver(reader, "SELECT count(*) FROM leasehold.migrations"), "error: 42501");
  EXPECT_EQ(test_->Ask("identity_central",
                       "SELECT count(*) FROM pg_database d, aclexplode(d.datacl) a "
                       "WHERE d.datname = 'identity_central' AND a.grantee = 0"),
            "0");
}

TEST_F(StateTest, TheClaimerIsNobodyElsesAndIsPutBack) {
  const std::string claimer = ClaimerOf("leasehold");
  const auto ask = [](const std::string& sql) { return test_->Ask("postgres", sql); };
  const auto prepare = [] { return ReasonOf(PrepareCentral(test_->instance(), {}, GoOn)); };
  const std::string shown =
      std::format("SELECT rolcanlogin, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = '{}'", claimer);
  ask(std::format("ALTER ROLE {} LOGIN NOCREATEDB NOCREATEROLE", claimer));
  ASSERT_EQ(PrepareCentral(test_->instance(), {}, GoOn), absl::OkStatus());
  EXPECT_EQ(ask(std::format("SELECT ({})::text", std::format("SELECT row(r.*)::text FROM ({}) r", shown))), "(f,t,t)");
  postgres::Connection as_claimer(test_->instance().AsClaimer("identity_central"));
  EXPECT_EQ(AskOver(as_claimer, "SELECT current_user || ' ' || (session_user <> current_user)"), claimer + " true");
  EXPECT_EQ(AskOver(as_claimer, "DELETE FROM leasehold.tenants"), "error: 42501");

  ask(std::format("CREATE ROLE mallory; GRANT {} TO mallory", claimer));
  EXPECT_EQ(prepare(), v1::REASON_NAME_TAKEN) << "others may act as it";
  ask(std::format("REVOKE {} FROM mallory", claimer));
  EXPECT_EQ(prepare(), v1::REASON_UNSPECIFIED);
  ask(std::format("COMMENT ON ROLE {} IS 'theirs'", claimer));
  EXPECT_EQ(prepare(), v1::REASON_NAME_TAKEN);
  ask(std::format("COMMENT ON ROLE {} IS 'leasehold claims'", claimer));
  EXPECT_EQ(prepare(), v1::REASON_UNSPECIFIED);
}

TEST_F(StateTest, MakesTheCentralDatabaseIfItIsAbsent) {
  v1::InstanceConfig config;
  config.set_host("127.0.0.1");
  config.set_port(test_->server().port());
  config.set_database("core_central");
  config.set_username("leasehold");
  config.set_sslmode("disable");
  const Instance core({.service = *ServiceName::Parse("core"),
                       .config = config,
                       .password = test_->instance().AsLogin("").password,
                       .role_key = *RoleKey::Parse(std::string(64, 'b'))});
  ASSERT_EQ(PrepareCentral(core, {}, GoOn), absl::OkStatus());
  EXPECT_EQ(test_->Ask("core_central", "SELECT count(*) FROM leasehold.tenants"), "0");
}

TEST_F(StateTest, ACentralDatabaseOfSomebodyElseIsRefused) {
  ASSERT_EQ(test_->Ask("postgres", "CREATE DATABASE theirs_central"), "");
  v1::InstanceConfig config;
  config.set_host("127.0.0.1");
  config.set_port(test_->server().port());
  config.set_database("theirs_central");
  config.set_username("leasehold");
  config.set_sslmode("disable");
  const Instance theirs({.service = *ServiceName::Parse("theirs"),
                         .config = config,
                         .password = test_->instance().AsLogin("").password,
                         .role_key = *RoleKey::Parse(std::string(64, 'b'))});
  EXPECT_EQ(ReasonOf(PrepareCentral(theirs, {}, GoOn)), v1::REASON_INSUFFICIENT_PRIVILEGE);
  EXPECT_EQ(test_->Ask("theirs_central", "SELECT to_regnamespace('leasehold')"), "");
}

TEST_F(StateTest, SeveralProvisionersMayStartAtOnce) {
  constexpr int kProvisioners = 4;
  constexpr int kStarts = 5;
  std::vector<absl::Status> failures[kProvisioners];
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kProvisioners; ++i) {
      threads.emplace_back([&failures, i] {
        for (int start = 0; start < kStarts; ++start) {
          const absl::Status prepared = PrepareCentral(test_->instance(), {}, GoOn);
          if (!prepared.ok()) failures[i].push_back(prepared);
        }
      });
    }
  }
  for (const auto& of_one : failures) EXPECT_THAT(of_one, IsEmpty());
}

TEST_F(StateTest, AForeignCentralRoleIsRefused) {
  ASSERT_EQ(test_->Ask("postgres", "CREATE ROLE audit_central LOGIN"), "");
  v1::InstanceConfig config;
  config.set_host("127.0.0.1");
  config.set_port(test_->server().port());
  config.set_database("audit_central");
  config.set_username("leasehold");
  config.set_sslmode("disable");
  const Instance audit({.service = *ServiceName::Parse("audit"),
                        .config = config,
                        .password = test_->instance().AsLogin("").password,
                        .role_key = *RoleKey::Parse(std::string(64, 'b'))});
  EXPECT_EQ(ReasonOf(PrepareCentral(audit, {}, GoOn)), v1::REASON_NAME_TAKEN);
  EXPECT_EQ(test_->Ask("postgres", "SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'audit_central'"), "t");
}

}  // namespace
}  // namespace leasehold::provisioner
