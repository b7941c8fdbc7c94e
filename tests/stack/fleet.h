// A stack of one service, alpha, whose folder of migrations is the test's own: files come and change while the
// provisioner runs. Its tenants t01, t02 … have the first file's table `notes`.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/localserver/localserver.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {

class Fleet {
 public:
  // `environment`: as Stack's. Without spares each database is made step by step.
  explicit Fleet(int tenants, int spares = 0, std::vector<std::string> environment = {});

  int tenants() const { return tenants_; }
  static std::string Tenant(int i);
  static std::string Database(int i);

  // Under the next free number; returns the file's name.
  std::string Add(const std::string& name, const std::string& sql, const std::string& down = "");
  void Write(const std::string& file, const std::string& sql);
  void Remove(const std::string& file);

  Stack& stack() { return *stack_; }
  // `leasehold migrate ARGUMENTS…`
  Stack::Output Migrate(std::vector<std::string> arguments);
  std::string In(int tenant, const std::string& sql) { return stack_->OnInstance("alpha", sql, Database(tenant)); }
  std::string Central(const std::string& sql) { return stack_->OnInstance("alpha", sql, "alpha_central"); }
  bool Has(int tenant, const std::string& table);
  int CountWith(const std::string& table);
  std::string NewestRun() { return "alpha." + Central("SELECT max(id) FROM leasehold.runs"); }
  std::string StateOf(const std::string& run);

 private:
  const localserver::TemporaryDirectory directory_;
  const int tenants_;
  int newest_ = 0;
  std::unique_ptr<Stack> stack_;
};

}  // namespace leasehold::testing
