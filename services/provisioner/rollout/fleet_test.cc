#include "services/provisioner/rollout/fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>

#include "common/status/error.h"
#include "services/provisioner/rollout/findings.h"
#include "services/provisioner/testing/test_instance.h"

namespace leasehold::provisioner {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(FitsGlob, StarsAndQuestionMarks) {
  EXPECT_TRUE(FitsGlob("*", ""));
  EXPECT_TRUE(FitsGlob("acme", "acme"));
  EXPECT_TRUE(FitsGlob("a*e", "acme"));
  EXPECT_TRUE(FitsGlob("*-eu-*", "x-eu-eu-1"));
  EXPECT_TRUE(FitsGlob("t?", "t1"));
  EXPECT_FALSE(FitsGlob("t?", "t"));
  EXPECT_FALSE(FitsGlob("", "a"));
  EXPECT_FALSE(FitsGlob("a*b", "acme"));
}

std::vector<FleetDatabase> Fleet(int tenants) {
  std::vector<FleetDatabase> fleet = {{.database_id = "central", .database = "identity_central"}};
  for (int i = 0; i < tenants; ++i) fleet.push_back({.tenant = std::format("t{:02}", i)});
  return fleet;
}

std::vector<int> SizesOf(const std::vector<FleetDatabase>& fleet, int waves) {
  std::vector<int> sizes(static_cast<size_t>(waves));
  for (const FleetDatabase& database : fleet) ++sizes[static_cast<size_t>(database.wave - 1)];
  return sizes;
}

TEST(AssignWaves, CanariesThenSharesThenTheRest) {
  v1::MigrationSpec spec;
  spec.mutable_canary()->add_tenants("t05");
  spec.mutable_canary()->add_tenants("t1*");
  spec.add_waves(10);
  spec.add_waves(50);
  auto fleet = Fleet(25);
  ASSERT_EQ(AssignWaves(spec, fleet), 4);
  EXPECT_THAT(SizesOf(fleet, 4), ElementsAre(12, 2, 5, 7));
  EXPECT_EQ(fleet.front().tenant, "") << "the central database with the canaries";
  EXPECT_EQ(fleet[1].tenant, "t05");
}

TEST(AssignWaves, WithoutAWordItIsTheCentralDatabaseAndThenAll) {
  auto fleet = Fleet(3);
  EXPECT_EQ(AssignWaves({}, fleet), 2);
  EXPECT_THAT(SizesOf(fleet, 2), ElementsAre(1, 3));
  fleet.erase(fleet.begin());
  EXPECT_EQ(AssignWaves({}, fleet), 1);
  std::vector<FleetDatabase> none;
  EXPECT_EQ(AssignWaves({}, none), 0);
}

TEST(AssignWaves, ASmallShareIsAtLeastOne) {
  v1::MigrationSpec spec;
  spec.add_waves(1);
  auto fleet = Fleet(3);
  EXPECT_EQ(AssignWaves(spec, fleet), 3);
  EXPECT_THAT(SizesOf(fleet, 3), ElementsAre(1, 1, 2));
}

TEST(IsSelected, TenantsExcludeTheCentralDatabase) {
  const FleetDatabase central;
  const FleetDatabase acme{.tenant = "acme"};
  v1::MigrationSelection all;
  EXPECT_TRUE(IsSelected(all, central) && IsSelected(all, acme));
  v1::MigrationSelection some;
  some.add_tenants("a*");
  EXPECT_TRUE(IsSelected(some, acme));
  EXPECT_FALSE(IsSelected(some, central));
  v1::MigrationSelection only;
  only.set_only_central(true);
  EXPECT_TRUE(IsSelected(only, central));
  EXPECT_FALSE(IsSelected(only, acme));
  v1::MigrationSelection without;
  without.set_without_central(true);
  EXPECT_FALSE(IsSelected(without, central));
}

TEST(CheckSpec, SaysWhatIsWrong) {
  const auto message = [](auto change) {
    v1::MigrationSpec spec;
    spec.set_kind(v1::MIGRATION_KIND_APPLY);
    change(spec);
    const absl::Status status = CheckSpec(spec);
    EXPECT_EQ(ReasonOf(status), v1::REASON_INVALID_FIELD);
    return std::string(status.message());
  };
  EXPECT_THAT(message([](auto& spec) { spec.clear_kind(); }), HasSubstr("spec.kind"));
  EXPECT_THAT(message([](auto& spec) { spec.add_waves(0); }), HasSubstr("spec.waves"));
  EXPECT_THAT(message([](auto& spec) {
                spec.add_waves(10);
                spec.add_waves(10);
              }),
              HasSubstr("that rise"));
  EXPECT_THAT(message([](auto& spec) { spec.set_parallelism(65); }), HasSubstr("0 to 64"));
  EXPECT_THAT(message([](auto& spec) { spec.set_failure_budget(-1); }), HasSubstr("spec.failure_budget"));
  EXPECT_THAT(message([](auto& spec) { spec.set_kind(v1::MIGRATION_KIND_UNDO); }), HasSubstr("spec.undo_run"));
  EXPECT_THAT(message([](auto& spec) { spec.set_kind(v1::MIGRATION_KIND_REPAIR); }), HasSubstr("spec.repair_file"));
  EXPECT_THAT(message([](auto& spec) { (*spec.mutable_canary()->mutable_settings())["a"] = "b"; }),
              HasSubstr("spec.canary.settings"));
  EXPECT_THAT(message([](auto& spec) { spec.mutable_selection()->add_tenants(""); }),
              HasSubstr("spec.selection.tenants"));
}

TEST(ExtensionsIn, FindsWhatFilesWant) {
  const auto files = MigrationsOf({{"0001_a.sql",
                                    "CREATE EXTENSION pg_trgm; create extension IF NOT EXISTS \"Odd\" "
                                    "WITH SCHEMA public; CREATE TABLE extension (i int)"}});
  ASSERT_TRUE(files.ok());
  const Migration* file = &files->front();
  EXPECT_THAT(ExtensionsIn(std::span(&file, 1)), ElementsAre("Odd", "pg_trgm"));
}

}  // namespace
}  // namespace leasehold::provisioner
