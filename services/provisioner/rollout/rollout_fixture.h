// A service with tenants for tests of runs over them: their databases are made as a provisioner makes them. Tests only.
#pragma once

#include <format>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status/error.h"
#include "common/telemetry/metrics.h"
#include "services/provisioner/rollout/calls.h"
#include "services/provisioner/rollout/rollout.h"
#include "services/provisioner/state/central.h"
#include "services/provisioner/state/records.h"
#include "services/provisioner/steps/schema_note.h"
#include "services/provisioner/steps/tenant_database.h"
#include "services/provisioner/testing/instance_suite.h"

namespace leasehold::provisioner {

inline constexpr std::string_view kFirst = "CREATE TABLE person (id int PRIMARY KEY, name text NOT NULL);";
inline constexpr std::string_view kSecond = "ALTER TABLE person ADD born int;";

class RolloutFixture : public InstanceSuite {
 protected:
  using Files = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(Clear());
    ASSERT_EQ(PrepareCentral(test_->instance(), *MigrationsOf({{"0001_c.sql", "CREATE TABLE c (i int);"}}),
                             [] { return absl::OkStatus(); }),
              absl::OkStatus());
    central_ =
        std::make_unique<postgres::ConnectionPool>(test_->instance().AsLogin(test_->instance().central_database()), 4);
    Restart({{"0001_a.sql", kFirst}, {"0002_b.sql", kSecond}});
  }

  // What an earlier test has left.
  void Clear() {
    postgres::Connection superuser = test_->Superuser();
    for (const auto& [kind, catalog, name] :
         {std::tuple("DATABASE", "pg_database", "datname"), std::tuple("ROLE", "pg_roles", "rolname")}) {
      const auto left = superuser.ExecAlone(std::format(
          "SELECT quote_ident({0}) FROM {1} WHERE {0} ~ '^(tenant_|leasehold_new_|leasehold_old_)'", name, catalog));
      ASSERT_TRUE(left.ok()) << left.status();
      for (const auto& row : *left) {
        const std::string force = std::string_view(kind) == "DATABASE" ? " WITH (FORCE)" : "";
        const absl::Status dropped =
            superuser.ExecAlone(std::format("DROP {} {}{}", kind, row[0].as<std::string>(), force)).status();
        ASSERT_EQ(dropped, absl::OkStatus());
      }
    }
    ASSERT_EQ(test_->Ask("postgres", "DROP DATABASE IF EXISTS identity_central WITH (FORCE)"), "");
    ASSERT_EQ(test_->Ask("postgres", "CREATE DATABASE identity_central OWNER leasehold"), "");
  }

  // A provisioner with these tenant files; what ran before is left as it was.
  void Restart(Files tenant, Files central = {{"0001_c.sql", "CREATE TABLE c (i int);"}}) {
    rollout_.reset();
    const auto tenant_files = MigrationsOf(tenant);
    const auto central_files = MigrationsOf(central);
    ASSERT_TRUE(tenant_files.ok()) << tenant_files.status();
    ASSERT_TRUE(central_files.ok()) << central_files.status();
    options_.library = MigrationLibrary("", *tenant_files, *central_files);
    Begin();
  }
  void Begin() {
    rollout_ = std::make_unique<Rollout>(
        options_,
        Rollout::Parts{.instance = test_->instance(), .central = *central_, .clock = clock_, .metrics = metrics_});
    calls_ = std::make_unique<MigrationCalls>(*rollout_);
  }

  static std::string DatabaseId(std::string_view tenant) { return std::format("{:0<16}", tenant); }
  static std::string Database(std::string_view tenant) { return std::format("tenant_{}_identity", tenant); }

  // With a database of the first file.
  void AddTenant(const std::string& tenant) {
    const auto files = MigrationsOf({{"0001_a.sql", kFirst}});
    postgres::Connection central = test_->Login();
    TenantDatabase database(test_->instance(), *files, central,
                            {.tenant = *TenantId::Parse(tenant), .database_id = DatabaseId(tenant)});
    ASSERT_EQ(database.Run(TenantDatabase::Present(), [] { return absl::OkStatus(); }), absl::OkStatus());
    ASSERT_EQ(Central(std::format("INSERT INTO leasehold.tenants (id, generation, desired, confirmed, desired_time, "
                                  "database_id, state, state_generation, schema_version, update_time) VALUES ('{}', 1, "
                                  "'present', true, now(), '{}', 'ready', 1, 1, now())",
                                  tenant, DatabaseId(tenant))),
              "");
    ASSERT_EQ(
        NoteSchema(central, {.database_id = DatabaseId(tenant), .version = 1, .digest = database.history_digest()}),
        absl::OkStatus());
  }
  void AddTenants(int number) {
    for (int i = 1; i <= number; ++i) ASSERT_NO_FATAL_FAILURE(AddTenant(std::format("t{:02}", i)));
  }

  std::string Central(std::string_view sql) { return test_->Ask("identity_central", sql); }
  std::string In(std::string_view tenant, std::string_view sql) { return test_->Ask(Database(tenant), sql); }
  bool HasColumn(std::string_view tenant, std::string_view column = "born") {
    return In(tenant, std::format("SELECT count(*) FROM pg_attribute WHERE attrelid = 'person'::regclass AND attname = "
                                  "'{}'",
                                  column)) == "1";
  }
  // Tenants whose person table has the second file's column.
  int CountMigrated(int tenants) {
    int count = 0;
    for (int i = 1; i <= tenants; ++i) count += HasColumn(std::format("t{:02}", i)) ? 1 : 0;
    return count;
  }

  static v1::MigrationSpec Spec(v1::MigrationKind kind) {
    v1::MigrationSpec spec;
    spec.set_service("identity");
    spec.set_kind(kind);
    return spec;
  }
  v1::MigrationRun Begin(const v1::MigrationSpec& spec) {
    v1::StartMigrationRunRequest request;
    *request.mutable_spec() = spec;
    const auto run = calls_->Start(request);
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? *run : v1::MigrationRun();
  }
  v1::MigrationRun Get(const std::string& id) {
    const auto run = calls_->Get(id);
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? *run : v1::MigrationRun();
  }
  // Works on what is under way until nothing is.
  void Work() {
    for (int i = 0; i < 20; ++i) {
      const auto worked = rollout_->WorkOne();
      ASSERT_TRUE(worked.ok()) << worked.status();
      if (!*worked) return;
    }
    FAIL() << "a run has no end";
  }
  v1::MigrationRun RunToEnd(const v1::MigrationSpec& spec) {
    const std::string id = Begin(spec).id();
    Work();
    return Get(id);
  }
  std::vector<v1::MigrationTask> Tasks(const std::string& id, bool with_findings = false) {
    v1::ListMigrationTasksRequest request;
    request.set_id(id);
    request.set_with_findings(with_findings);
    std::vector<v1::MigrationTask> tasks;
    do {
      const auto page = rollout_->store().ListTasks(*rollout_->store().NumberOf(id), request);
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok()) break;
      tasks.insert(tasks.end(), page->tasks().begin(), page->tasks().end());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return tasks;
  }
  v1::MigrationTask TaskOf(const std::string& id, const std::string& tenant) {
    for (const v1::MigrationTask& task : Tasks(id)) {
      if (task.tenant() == tenant) return task;
    }
    ADD_FAILURE() << "no task of " << tenant;
    return {};
  }

  const SystemClock clock_;
  Metrics metrics_;
  Rollout::Options options_{.parallelism = 3};
  std::unique_ptr<postgres::ConnectionPool> central_;
  std::unique_ptr<Rollout> rollout_;
  std::unique_ptr<MigrationCalls> calls_;
};

}  // namespace leasehold::provisioner
