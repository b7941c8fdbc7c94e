// The reconciler with spares at hand: whoever is wanted is given one, and where that cannot be, the long way is gone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/status/error.h"
#include "services/provisioner/reconcile/reconciler.h"
#include "services/provisioner/rollout/rollout.h"
#include "services/provisioner/spares/keeper.h"
#include "services/provisioner/testing/fake_gateway.h"
#include "services/provisioner/testing/test_instance.h"

namespace leasehold::provisioner {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TenantId Id(std::string_view text) { return *TenantId::Parse(text); }

using File = std::pair<std::string_view, std::string_view>;
constexpr File kNote = {"0001_note.sql", "CREATE TABLE note (text text);"};
// Fails in every database, until somebody makes the role.
constexpr File kNeedy = {"0002_needy.sql",
                         "CREATE TABLE later (i int); SELECT 1 / count(*) FROM pg_roles WHERE rolname = 'needed';"};
constexpr File kMended = {"0002_needy.sql", "CREATE TABLE later (i int);"};

class SpareTenantsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto started = TestInstance::Start();
    ASSERT_TRUE(started.ok()) << started.status();
    test_ = *std::move(started);
    pool_.emplace(test_->instance().AsLogin("identity_central"), 5);
    records_.emplace(*pool_, clock_);
    SetFiles({kNote});
    keeper_.emplace(SpareKeeper::Options{.min_spares = 1, .max_spares = 1, .tenant_migrations = newcomers_},
                    SpareKeeper::Parts{.instance = test_->instance(),
                                       .clock = clock_,
                                       .metrics = metrics_,
                                       .await_quiet = [](absl::Duration) { return true; }});
    reconciler_.emplace(Reconciler::Options{.min_backoff = absl::Seconds(1),
                                            .max_backoff = absl::Seconds(8),
                                            .parallelism = 2,
                                            .tenant_migrations = newcomers_,
                                            .migrates_in_place = false},
                        Reconciler::Parts{.instance = test_->instance(),
                                          .central = *pool_,
                                          .records = *records_,
                                          .desired = gateway_,
                                          .instance_health = instance_health_,
                                          .gateway_health = gateway_health_,
                                          .clock = clock_,
                                          .metrics = metrics_,
                                          .on_status = [] {},
                                          .on_settled = [this](TenantRecord now) { settled_.push_back(Line(now)); },
                                          .on_claim = [this](bool found) { keeper_->Claimed(found); }});
    ASSERT_EQ(reconciler_->Prepare(), absl::OkStatus());
    rollout_.emplace(
        Rollout::Options{.library = MigrationLibrary("", files_, {})},
        Rollout::Parts{.instance = test_->instance(), .central = *pool_, .clock = clock_, .metrics = metrics_});
    Stock();
  }

  void SetFiles(std::initializer_list<std::pair<std::string_view, std::string_view>> files) {
    auto migrations = MigrationsOf(files);
    ASSERT_TRUE(migrations.ok()) << migrations.status();
    files_.Set(*std::move(migrations));
  }
  // A run of all files over all tenants, to its end.
  v1::MigrationRun Apply() {
    v1::MigrationSpec spec;
    spec.set_service("identity");
    spec.set_kind(v1::MIGRATION_KIND_APPLY);
    spec.mutable_selection()->set_without_central(true);
    spec.set_ignore_findings(true);
    const auto run = rollout_->store().Create(spec, FilesOf(rollout_->files()), "");
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? RunToEnd(run->number) : v1::MigrationRun();
  }
  v1::MigrationRun RunToEnd(int64_t number) {
    const auto worked = rollout_->WorkOne();
    EXPECT_TRUE(worked.ok() && *worked) << worked.status();
    const auto run = rollout_->store().Get(number);
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? run->run : v1::MigrationRun();
  }
  void Create(std::string_view id) {
    ASSERT_EQ(reconciler_->Want(Id(id), {.generation = 1, .state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
    WorkAll();
  }
  std::string Versions() {
    return test_->Ask("identity_central",
                      "SELECT string_agg(t.id || ' ' || t.state || ' ' || coalesce(s.version, 0), ', ' ORDER BY t.id) "
                      "FROM leasehold.tenants t LEFT JOIN leasehold.schemas s USING (database_id)");
  }

  void Stock() {
    for (absl::StatusOr<bool> worked = true; worked.ok() && *worked;) {
      worked = keeper_->WorkOne();
      ASSERT_TRUE(worked.ok()) << worked.status();
    }
  }
  static std::string Line(const TenantRecord& record) {
    return std::format("{} {} {}", record.id.str(), v1::ServiceState_Name(record.state), record.state_generation);
  }
  int WorkAll() {
    int worked = 0;
    while (reconciler_->WorkOne()) ++worked;
    return worked;
  }
  std::string Databases() {
    return test_->Ask("postgres",
                      "SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database WHERE "
                      "starts_with(datname, 'tenant_')");
  }

  std::unique_ptr<TestInstance> test_;
  FakeClock clock_;
  Metrics metrics_;
  Health health_{clock_};
  Dependency instance_health_{health_, "instance"};
  Dependency gateway_health_{health_, "gateway"};
  FakeGateway gateway_;
  std::optional<postgres::ConnectionPool> pool_;
  std::optional<Records> records_;
  SharedMigrations files_;
  NewcomerFiles newcomers_{files_};
  std::optional<Rollout> rollout_;
  std::optional<SpareKeeper> keeper_;
  std::vector<std::string> settled_;
  std::optional<Reconciler> reconciler_;
};

TEST_F(SpareTenantsTest, AnEventIsAnsweredByASpareAndLeavesNothingToDo) {
  ASSERT_EQ(reconciler_->Want(Id("quick"), {.state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  EXPECT_THAT(settled_, ElementsAre("quick SERVICE_STATE_READY 0"));
  EXPECT_EQ(WorkAll(), 0);
  EXPECT_EQ(Databases(), "tenant_quick_identity");
  // The registry takes it in.
  gateway_.SetNew("quick", 1);
  ASSERT_EQ(
      reconciler_->Want(Id("quick"), {.generation = 1, .state = v1::DESIRED_STATE_PRESENT, .create_generation = 1}),
      absl::OkStatus());
  EXPECT_EQ(WorkAll(), 0) << "it needs no look";
  EXPECT_THAT(settled_, ElementsAre("quick SERVICE_STATE_READY 0", "quick SERVICE_STATE_READY 1"));
  ASSERT_EQ(reconciler_->Pass(), absl::OkStatus());
  EXPECT_EQ(WorkAll(), 0);
}

TEST_F(SpareTenantsTest, WithNoneLeftTheLongWayIsGoneAtOnce) {
  gateway_.SetNew("first", 1);
  gateway_.SetNew("second", 1);
  ASSERT_EQ(reconciler_->Pass(), absl::OkStatus());
  EXPECT_THAT(settled_, ElementsAre("first SERVICE_STATE_READY 1"));
  EXPECT_EQ(WorkAll(), 1);
  EXPECT_THAT(settled_, ElementsAre("first SERVICE_STATE_READY 1", "second SERVICE_STATE_READY 1"));
  EXPECT_EQ(Databases(), "tenant_first_identity,tenant_second_identity");
  EXPECT_THAT(metrics_.Expose(), HasSubstr("leasehold_spare_claims_total{outcome=\"none_left\"} 1"));
}

TEST_F(SpareTenantsTest, ACopyBeginsWithItsOriginAndTheSpareStays) {
  gateway_.SetNew("first", 1);
  ASSERT_EQ(reconciler_->Pass(), absl::OkStatus());
  EXPECT_EQ(test_->Ask("tenant_first_identity", "INSERT INTO note VALUES ('kept') RETURNING text"), "kept");
  Stock();
  gateway_.SetNew("copy", 1);
  gateway_.SetOrigin("copy", "first", "");
  ASSERT_EQ(reconciler_->Pass(), absl::OkStatus());
  EXPECT_THAT(settled_, ElementsAre("first SERVICE_STATE_READY 1"));
  WorkAll();
  EXPECT_THAT(settled_, ElementsAre("first SERVICE_STATE_READY 1", "copy SERVICE_STATE_READY 1"));
  EXPECT_EQ(test_->Ask("tenant_copy_identity", "SELECT text FROM note"), "kept");
  EXPECT_EQ(test_->Ask("identity_central", "SELECT state FROM leasehold.spares"), "ready");
}

TEST_F(SpareTenantsTest, AForeignDatabaseOfTheNameIsToldOfAndTheSpareStays) {
  ASSERT_EQ(test_->Ask("postgres", "CREATE DATABASE tenant_taken_identity"), "");
  ASSERT_EQ(reconciler_->Want(Id("taken"), {.state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  EXPECT_THAT(settled_, IsEmpty());
  EXPECT_EQ(WorkAll(), 1);
  EXPECT_THAT(settled_, ElementsAre("taken SERVICE_STATE_FAILED 0"));
  EXPECT_THAT((*records_->Get(Id("taken")))->message, HasSubstr("tenant_taken_identity"));
  EXPECT_EQ(test_->Ask("identity_central", "SELECT state FROM leasehold.spares"), "ready");
}

TEST_F(SpareTenantsTest, ATenantThatCameBackIsGivenASpareAndAnOlderEventChangesNothing) {
  gateway_.SetNew("phoenix", 1);
  ASSERT_EQ(reconciler_->Pass(), absl::OkStatus());
  gateway_.Set("phoenix", 2, v1::DESIRED_STATE_ABSENT);
  ASSERT_EQ(reconciler_->Pass(), absl::OkStatus());
  EXPECT_EQ(WorkAll(), 1);
  EXPECT_EQ(Databases(), "");
  Stock();
  gateway_.SetNew("phoenix", 3);
  ASSERT_EQ(reconciler_->Want(Id("phoenix"), {.generation = 1, .state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  EXPECT_EQ(Databases(), "");
  ASSERT_EQ(reconciler_->Pass(), absl::OkStatus());
  EXPECT_EQ(settled_.back(), "phoenix SERVICE_STATE_READY 3");
  EXPECT_EQ(WorkAll(), 0);
  EXPECT_EQ((*records_->Get(Id("phoenix")))->database_generation, 3);
}

TEST_F(SpareTenantsTest, AfterARestartNothingIsDoneTwice) {
  ASSERT_EQ(reconciler_->Want(Id("kept"), {.generation = 1, .state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  gateway_.SetNew("kept", 1);
  ASSERT_EQ(reconciler_->Pass(), absl::OkStatus());
  EXPECT_EQ(WorkAll(), 0);
  ASSERT_EQ(reconciler_->Want(Id("kept"), {.generation = 1, .state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  EXPECT_EQ(WorkAll(), 0);
  EXPECT_THAT(settled_, ElementsAre("kept SERVICE_STATE_READY 1"));
}

TEST_F(SpareTenantsTest, AFileThatFailsInARunKeepsNobodyFromComing) {
  Create("first");
  Stock();
  SetFiles({kNote, kNeedy});
  const v1::MigrationRun run = Apply();
  ASSERT_NE(run.state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  ASSERT_EQ(run.failed(), 1);

  Create("long-way");
  EXPECT_EQ(Versions(), "first ready 1, long-way ready 1");
  EXPECT_EQ(
      test_->Ask("tenant_long-way_identity", "SELECT count(*) || ' ' || (to_regclass('later') IS NULL) FROM note"),
      "0 true");
  Create("spared");
  EXPECT_THAT(settled_, ElementsAre("first SERVICE_STATE_READY 1", "long-way SERVICE_STATE_READY 1",
                                    "spared SERVICE_STATE_READY 1"))
      << "none of them failed in between";
  EXPECT_THAT(metrics_.Expose(), HasSubstr("leasehold_spare_claims_total{outcome=\"claimed\"} 2"));
  Stock();  // of the files before the one that fails
  EXPECT_EQ(test_->Ask("identity_central", "SELECT state || schema_version FROM leasehold.spares"), "ready1");

  // Mended without another file: the same run goes on, and takes those along that came meanwhile.
  ASSERT_EQ(test_->Ask("postgres", "CREATE ROLE needed"), "");
  const auto number = rollout_->store().NewestNumber();
  ASSERT_TRUE(number.ok()) << number.status();
  ASSERT_EQ(rollout_->store().Resume(*number, /*failed=*/true), absl::OkStatus());
  EXPECT_EQ(RunToEnd(*number).state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  Create("after");
  EXPECT_EQ(Versions(), "after ready 2, first ready 2, long-way ready 2, spared ready 2");
  Stock();
  EXPECT_EQ(test_->Ask("identity_central", "SELECT state || schema_version FROM leasehold.spares"), "ready2");
  ASSERT_EQ(test_->Ask("postgres", "DROP ROLE needed"), "");
}

TEST_F(SpareTenantsTest, OnceTheFileIsMendedNothingIsHeldBack) {
  Create("first");
  SetFiles({kNote, kNeedy});
  ASSERT_EQ(Apply().failed(), 1);
  Create("second");
  ASSERT_TRUE(newcomers_.holds());
  SetFiles({kNote, kNeedy});
  EXPECT_EQ(newcomers_.Get()->size(), 1) << "read again, and still the same";
  SetFiles({kNote, kMended});
  EXPECT_EQ(newcomers_.Get()->size(), 2);
  Create("third");
  EXPECT_EQ(Versions(), "first ready 1, second ready 1, third ready 2");
  EXPECT_EQ(Apply().state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  EXPECT_EQ(Versions(), "first ready 2, second ready 2, third ready 2");
}

TEST_F(SpareTenantsTest, AFileThatNoRunHasMetKeepsNobodyFromComingWhereOthersAreInService) {
  Create("first");
  Stock();
  SetFiles({kNote, kNeedy});
  Create("second");
  EXPECT_EQ(Versions(), "first ready 1, second ready 1");
  EXPECT_THAT(settled_, ElementsAre("first SERVICE_STATE_READY 1", "second SERVICE_STATE_READY 1"))
      << "it has not failed in between";
  Stock();
  EXPECT_EQ(test_->Ask("identity_central", "SELECT state || schema_version FROM leasehold.spares"), "ready1");

  // A run that fails at it too changes nothing; once one has brought it to a tenant, it is in new databases.
  ASSERT_NE(Apply().state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  Create("third");
  EXPECT_TRUE(newcomers_.holds());
  ASSERT_EQ(test_->Ask("postgres", "CREATE ROLE needed"), "");
  EXPECT_EQ(Apply().state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  Create("fourth");
  EXPECT_FALSE(newcomers_.holds());
  EXPECT_EQ(Versions(), "first ready 2, fourth ready 2, second ready 2, third ready 2");
  ASSERT_EQ(test_->Ask("postgres", "DROP ROLE needed"), "");
}

TEST_F(SpareTenantsTest, AFileThatSomeTenantHasIsNotLeftOut) {
  Create("first");
  ASSERT_EQ(test_->Ask("postgres", "CREATE ROLE needed"), "");
  SetFiles({kNote, kNeedy});
  ASSERT_EQ(Apply().state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
  ASSERT_EQ(test_->Ask("postgres", "DROP ROLE needed"), "");
  Create("second");
  EXPECT_EQ(Versions(), "first ready 2, second failed 0");
}

TEST_F(SpareTenantsTest, WhereNobodyIsInServiceNoFileIsLeftOut) {
  SetFiles({kNote, kNeedy});
  Create("second");
  EXPECT_EQ(Versions(), "second failed 0");
  EXPECT_EQ(ReasonOf(keeper_->WorkOne().status()), v1::REASON_MIGRATION_FAILED);
  // Not again and again.
  clock_.Advance(absl::Seconds(10));
  const auto pause = keeper_->WorkOne();
  ASSERT_TRUE(pause.ok()) << pause.status();
  EXPECT_FALSE(*pause);
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(ReasonOf(keeper_->WorkOne().status()), v1::REASON_MIGRATION_FAILED);
  // Other files are tried at once.
  SetFiles({kNote, kMended});
  Stock();
  EXPECT_EQ(test_->Ask("identity_central", "SELECT state || schema_version FROM leasehold.spares"), "ready2");
  clock_.Advance(absl::Seconds(10));
  ASSERT_EQ(reconciler_->TakeOver(), absl::OkStatus());
  WorkAll();
  EXPECT_EQ(Versions(), "second ready 2");
}

}  // namespace
}  // namespace leasehold::provisioner
