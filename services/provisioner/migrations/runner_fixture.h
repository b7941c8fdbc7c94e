// A database with a history for tests of what changes it. The superuser stands in for the owner: who owns what is the
// subject of steps_pgtest.cc. Tests only.
#pragma once

#include <format>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status/error.h"
#include "services/provisioner/migrations/runner.h"
#include "services/provisioner/testing/instance_suite.h"

namespace leasehold::provisioner {

class RunnerFixture : public InstanceSuite {
 protected:
  using Files = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  void SetUp() override {
    database_ = std::format("db{}", ++count_);
    ASSERT_EQ(test_->Ask("postgres", std::format("CREATE DATABASE {} OWNER leasehold", database_)), "");
    ASSERT_EQ(Prepare(), absl::OkStatus());
    ASSERT_EQ(Prepare(), absl::OkStatus());
    options_.min_backoff = absl::Milliseconds(20);
    options_.max_backoff = absl::Milliseconds(100);
  }

  absl::Status Prepare() {
    postgres::Connection keeper = test_->Login(database_);
    return PrepareHistory(keeper, "postgres", secret_);
  }
  postgres::Connection Owner() { return test_->Superuser(database_); }

  // `result_` says more.
  absl::Status Run(const Migrations& files) {
    result_ = MigrateResult();
    postgres::Connection owner = Owner();
    return Migrate(owner, secret_, files, options_, result_);
  }
  absl::Status Run(Files files) {
    const auto migrations = MigrationsOf(files);
    return migrations.ok() ? Run(*migrations) : migrations.status();
  }
  absl::Status Try(Files files) {
    result_ = MigrateResult();
    postgres::Connection owner = Owner();
    return DryRun(owner, secret_, *MigrationsOf(files), options_, result_);
  }
  absl::Status TakeBack(Files files, const std::string& run) {
    result_ = MigrateResult();
    postgres::Connection owner = Owner();
    return Undo(owner, secret_, *MigrationsOf(files), run, options_, result_);
  }
  std::string Ask(std::string_view sql) { return test_->Ask(database_, sql); }
  std::string Applied() {
    return Ask("SELECT string_agg(name, ',' ORDER BY version) FROM leasehold.migrations WHERE applied_at IS NOT NULL");
  }

  static inline int count_ = 0;
  std::string database_;
  const Secret secret_{"a database's own"};
  MigrateOptions options_;
  MigrateResult result_;
};

}  // namespace leasehold::provisioner
