#include "tests/stack/fleet.h"

#include <filesystem>
#include <format>
#include <fstream>
#include <utility>

#include "absl/log/absl_check.h"

namespace leasehold::testing {

Fleet::Fleet(int tenants, int spares, std::vector<std::string> environment) : tenants_(tenants) {
  std::filesystem::create_directories(directory_.path() + "/files/tenant");
  std::filesystem::create_directories(directory_.path() + "/files/central");
  const std::string config = directory_.path() + "/leasehold.yaml";
  std::ofstream(config) << std::format(
      "provisioner: {{resync_interval: 2s, min_backoff: 100ms, max_backoff: 1s, migrate: by-run, min_spares: {0}, "
      "max_spares: {0}}}\n"
      "services:\n  - name: alpha\n    migrations: files\n",
      spares);
  Add("notes", "CREATE TABLE notes (id int PRIMARY KEY, body text NOT NULL DEFAULT '');");
  stack_ = std::make_unique<Stack>(std::move(environment), config);
  for (int i = 1; i <= tenants; ++i) {
    const Stack::Output made = stack_->Run({"tenant", "create", Tenant(i)});
    ABSL_CHECK_EQ(made.exit_code, 0) << made.err;
  }
  for (int i = 1; i <= tenants; ++i) {
    ABSL_CHECK(stack_->AwaitState(Tenant(i), v1::TENANT_STATE_ACTIVE, absl::Minutes(2))) << Tenant(i);
  }
}

std::string Fleet::Tenant(int i) { return std::format("t{:02}", i); }

std::string Fleet::Database(int i) { return std::format("tenant_{}_alpha", Tenant(i)); }

std::string Fleet::Add(const std::string& name, const std::string& sql, const std::string& down) {
  const std::string stem = std::format("{:04}_{}", ++newest_, name);
  // First, for the file may be read as soon as it is there.
  if (!down.empty()) Write(stem + ".down.sql", down);
  Write(stem + ".sql", sql);
  return stem + ".sql";
}

void Fleet::Write(const std::string& file, const std::string& sql) {
  // Whole at once: the provisioner reads when it likes.
  const std::string next = directory_.path() + "/next";
  std::ofstream(next) << sql;
  std::filesystem::rename(next, directory_.path() + "/files/tenant/" + file);
}

void Fleet::Remove(const std::string& file) { std::filesystem::remove(directory_.path() + "/files/tenant/" + file); }

Stack::Output Fleet::Migrate(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "migrate");
  return stack_->Run(arguments);
}

bool Fleet::Has(int tenant, const std::string& table) {
  return In(tenant, std::format("SELECT to_regclass('{}') IS NOT NULL", table)) == "t";
}

int Fleet::CountWith(const std::string& table) {
  int count = 0;
  for (int i = 1; i <= tenants_; ++i) count += Has(i, table) ? 1 : 0;
  return count;
}

std::string Fleet::StateOf(const std::string& run) {
  return Central(std::format("SELECT state FROM leasehold.runs WHERE id = {}", run.substr(run.find('.') + 1)));
}

}  // namespace leasehold::testing
