// The reconciler with spares at hand: whoever is wanted is given one, and where that cannot be, the long way is gone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>

#include "common/status/error.h"
#include "services/provisioner/reconcile/reconciler.h"
#include "services/provisioner/spares/keeper.h"
#include "services/provisioner/testing/fake_gateway.h"
#include "services/provisioner/testing/test_instance.h"

namespace leasehold::provisioner {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TenantId Id(std::string_view text) { return *TenantId::Parse(text); }

class SpareTenantsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto started = TestInstance::Start();
    ASSERT_TRUE(started.ok()) << started.status();
    test_ = *std::move(started);
    pool_.emplace(test_->instance().AsLogin("identity_central"), 5);
    records_.emplace(*pool_, clock_);
    auto migrations = MigrationsOf({{"0001_note.sql", "CREATE TABLE note (text text);"}});
    ASSERT_TRUE(migrations.ok()) << migrations.status();
    keeper_.emplace(SpareKeeper::Options{.min_spares = 1, .max_spares = 1, .tenant_migrations = *migrations},
                    SpareKeeper::Parts{.instance = test_->instance(),
                                       .clock = clock_,
                                       .metrics = metrics_,
                                       .await_quiet = [](absl::Duration) { return true; }});
    reconciler_.emplace(Reconciler::Options{.min_backoff = absl::Seconds(1),
                                            .max_backoff = absl::Seconds(8),
                                            .parallelism = 2,
                                            .tenant_migrations = *migrations},
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
    Stock();
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

}  // namespace
}  // namespace leasehold::provisioner
