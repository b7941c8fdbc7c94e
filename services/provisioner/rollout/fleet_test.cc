#include "services/provisioner/rollout/fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/status/error.h"
#include "services/provisioner/rollout/findings.h"
#include "services/provisioner/testing/test_instance.h"

namespace leasehold::provisioner {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

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
  some.clear_tenants();
  some.add_setting_tenants("acme");
  EXPECT_TRUE(IsSelected(some, acme));
  EXPECT_FALSE(IsSelected(some, central));
  some.set_setting_tenants(0, "a*");
  EXPECT_FALSE(IsSelected(some, acme)) << "ids are no globs";
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
  for (const char* glob : {"[", "t?", "T1"}) {
    EXPECT_THAT(message([glob](auto& spec) { spec.mutable_canary()->add_tenants(glob); }),
                AllOf(HasSubstr(std::format("spec.canary.tenants is '{}'", glob)), HasSubstr("* stands for")));
  }
  EXPECT_THAT(message([](auto& spec) { spec.mutable_lock_timeout(); }), HasSubstr("spec.lock_timeout is '0'"));
  EXPECT_THAT(message([](auto& spec) { spec.mutable_lock_timeout()->set_nanos(999'999); }), HasSubstr("1ms to 24h"));
  EXPECT_THAT(message([](auto& spec) { spec.mutable_statement_timeout()->set_seconds(-1); }),
              HasSubstr("spec.statement_timeout is '-1s'"));
  for (const char* file : {"0002", "orders.sql", "0001_a.down.sql", "0000_a.sql"}) {
    EXPECT_THAT(message([file](auto& spec) {
                  spec.set_kind(v1::MIGRATION_KIND_REPAIR);
                  spec.set_repair_file(file);
                }),
                HasSubstr(std::format("spec.repair_file is '{}'", file)));
  }
}

TEST(CheckSpec, NoStatementTimeoutIsNone) {
  v1::MigrationSpec spec;
  spec.set_kind(v1::MIGRATION_KIND_APPLY);
  spec.mutable_statement_timeout();
  spec.mutable_lock_timeout()->set_nanos(1'000'000);
  EXPECT_EQ(CheckSpec(spec), absl::OkStatus());
}

TEST(CheckSelected, WhatFitsNobodyIsRefused) {
  const std::vector<FleetDatabase> fleet = Fleet(3);
  const ServiceName service = *ServiceName::Parse("identity");
  const auto said = [&](auto change) {
    v1::MigrationSpec spec;
    change(spec);
    return std::string(CheckSelected(spec, fleet, service).message());
  };
  EXPECT_EQ(said([](auto&) {}), "");
  EXPECT_EQ(said([](auto& spec) { spec.mutable_selection()->add_tenants("t*"); }), "");
  EXPECT_EQ(said([](auto& spec) {
              spec.mutable_selection()->add_tenants("t01");
              spec.mutable_selection()->add_tenants("t9*");
            }),
            "spec.selection.tenants is 't9*'; allowed: the id of an open tenant of identity, or a glob that fits one");
  EXPECT_EQ(said([](auto& spec) {
              spec.mutable_selection()->add_tenants("t01");
              spec.mutable_canary()->add_tenants("t02");
            }),
            "spec.canary.tenants is 't02'; allowed: the id of a tenant that the run is about, or a glob that fits one");
  const auto ring = [](v1::MigrationSelection& selection, std::string_view tenant) {
    (*selection.mutable_settings())["ring"] = "0";
    selection.add_setting_tenants("of-another-service");
    selection.add_setting_tenants(std::string(tenant));
  };
  EXPECT_EQ(said([&ring](auto& spec) { ring(*spec.mutable_canary(), "t02"); }), "") << "one of them is enough";
  EXPECT_EQ(said([&ring](auto& spec) { ring(*spec.mutable_canary(), "gone"); }),
            "spec.canary.settings is 'ring=0'; allowed: settings of an open tenant of identity");
}

FleetMigrations Files(std::initializer_list<std::pair<std::string_view, std::string_view>> tenant,
                      std::initializer_list<std::pair<std::string_view, std::string_view>> central = {}) {
  return {.tenant = std::make_shared<const Migrations>(*MigrationsOf(tenant)),
          .central = std::make_shared<const Migrations>(*MigrationsOf(central))};
}

TEST(DifferenceFrom, IsOfTheRunsOwnFiles) {
  v1::MigrationRun run;
  for (const v1::MigrationFile& file :
       FilesOf(Files({{"0001_a.sql", "SELECT 1"}, {"0003_c.sql", "SELECT 3"}}, {{"0001_z.sql", "SELECT 0"}}))) {
    *run.add_files() = file;
  }
  const auto now = [&run](auto... tenant) {
    return DifferenceFrom(run, Files({tenant...}, {{"0001_z.sql", "SELECT 0"}, {"0002_y.sql", "SELECT 0"}}));
  };
  const std::pair<std::string_view, std::string_view> a = {"0001_a.sql", "SELECT 1"};
  const std::pair<std::string_view, std::string_view> c = {"0003_c.sql", "SELECT 3"};
  EXPECT_EQ(now(a, c), "");
  EXPECT_EQ(now(a, c, std::pair("0004_d.sql", "SELECT 4")), "") << "it is another run's";
  EXPECT_EQ(now(a, std::pair("0002_b.sql", "SELECT 2"), c), "0002_b.sql has come among them");
  EXPECT_EQ(now(a), "0003_c.sql is missing");
  EXPECT_EQ(now(a, std::pair("0003_c.sql", "SELECT 33")), "0003_c.sql was edited");
  EXPECT_EQ(now(a, std::pair("0003_cc.sql", "SELECT 3")), "0003_c.sql is 0003_cc.sql now");
  EXPECT_EQ(DifferenceFrom(run, Files({a, c})), "0001_z.sql is missing") << "the central database's too";
}

TEST(PendingFor, HoldsNoFileThatHasComeSince) {
  v1::MigrationRun run;
  for (const v1::MigrationFile& file : FilesOf(Files({{"0001_a.sql", "SELECT 1"}, {"0002_b.sql", "SELECT 2"}}))) {
    *run.add_files() = file;
  }
  const FleetMigrations files =
      LimitedTo(run, Files({{"0001_a.sql", "SELECT 1"}, {"0002_b.sql", "SELECT 2"}, {"0003_c.sql", "SELECT 3"}},
                           {{"0001_z.sql", "SELECT 0"}}));
  const std::vector<const Migration*> pending = PendingFor({.tenant = "t01", .version = 1}, files);
  ASSERT_EQ(pending.size(), 1u);
  EXPECT_EQ(pending.front()->name, "0002_b.sql");
  EXPECT_TRUE(PendingFor({}, files).empty()) << "the run had none for the central database";
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
