// Tenants whose databases were never complete: status shows them, runs pass them by, repair reaches them.
#include "services/provisioner/rollout/rollout_fixture.h"

namespace leasehold::provisioner {
namespace {

using ::testing::HasSubstr;

class UnfinishedTest : public RolloutFixture {
 protected:
  // In place, as a kill between its last step and the record leaves it.
  void AddUnfinished(const std::string& tenant) {
    ASSERT_NO_FATAL_FAILURE(AddTenant(tenant));
    ASSERT_EQ(Central(std::format("UPDATE leasehold.tenants SET schema_version = NULL, state = 'failed' WHERE id = "
                                  "'{0}'; DELETE FROM leasehold.schemas WHERE database_id = '{1}'",
                                  tenant, DatabaseId(tenant))),
              "");
  }
  static v1::MigrationSpec RepairOf(const std::string& tenant) {
    v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_REPAIR);
    spec.mutable_selection()->add_tenants(tenant);
    spec.set_repair_file("0001_a.sql");
    spec.set_repair(v1::MIGRATION_REPAIR_ACCEPT_FILE);
    return spec;
  }
};

TEST_F(UnfinishedTest, StatusShowsItAndCountsItByItself) {
  AddTenants(1);
  ASSERT_NO_FATAL_FAILURE(AddUnfinished("t02"));
  const auto status = calls_->Status({});
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->total(), 3);
  EXPECT_EQ(status->behind(), 1);
  EXPECT_EQ(status->unfinished(), 1);
  EXPECT_FALSE(status->databases(1).unfinished());
  EXPECT_EQ(status->databases(2).tenant(), "t02");
  EXPECT_TRUE(status->databases(2).unfinished());
}

TEST_F(UnfinishedTest, ARunPassesItByAndSaysSo) {
  AddTenants(1);
  ASSERT_NO_FATAL_FAILURE(AddUnfinished("t02"));
  const v1::MigrationRun run = RunToEnd(Spec(v1::MIGRATION_KIND_APPLY));
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << run.DebugString();
  EXPECT_EQ(run.total(), 1);
  EXPECT_THAT(run.message(), HasSubstr("1 database is not complete yet"));
  EXPECT_FALSE(HasColumn("t02"));
  EXPECT_EQ(calls_->Plan({})->databases_size(), 0);
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_APPLY);
  spec.mutable_selection()->add_tenants("t01");
  EXPECT_EQ(RunToEnd(spec).message(), "there was nothing to do") << "none of those that were chosen";
}

TEST_F(UnfinishedTest, RepairReachesItAndLeavesItUnfinished) {
  ASSERT_NO_FATAL_FAILURE(AddUnfinished("t01"));
  Restart({{"0001_a.sql", "-- why\nCREATE TABLE person (id int PRIMARY KEY, name text NOT NULL);"},
           {"0002_b.sql", kSecond}});
  const v1::MigrationRun run = RunToEnd(RepairOf("t01"));
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_SUCCEEDED) << run.DebugString();
  EXPECT_EQ(run.done(), 1);
  EXPECT_EQ(Central("SELECT schema_version IS NULL FROM leasehold.tenants"), "t");
  MigrateResult result;
  EXPECT_EQ(MigrateDatabase(test_->instance(),
                            {.database = Database("t01"), .owner = Database("t01"), .id = DatabaseId("t01")},
                            *options_.library.tenant(), {}, result),
            absl::OkStatus())
      << "its maker goes on";
}

TEST_F(UnfinishedTest, OneThatIsNotInPlaceIsItsMakers) {
  ASSERT_NO_FATAL_FAILURE(AddUnfinished("t01"));
  ASSERT_EQ(test_->Ask("postgres", "ALTER DATABASE tenant_t01_identity RENAME TO leasehold_new_t010000000000000"), "");
  const v1::MigrationRun run = RunToEnd(RepairOf("t01"));
  EXPECT_EQ(run.state(), v1::MIGRATION_RUN_STATE_FAILED);
  EXPECT_THAT(run.message(), HasSubstr("its provisioner makes it"));
}

}  // namespace
}  // namespace leasehold::provisioner
