// A reconciler without its threads, which a test starts anew as it likes. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <format>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "common/status/error.h"
#include "services/provisioner/reconcile/instance_fixture.h"

namespace leasehold::provisioner {

class ReconcilerTest : public InstanceTest {
 protected:
  void SetUp() override {
    Restart({{"0001_note.sql", "CREATE TABLE note (text text);"}});
    test_->Ask("identity_central", "TRUNCATE leasehold.tenants");
  }

  // As if the daemon had been killed and started: only what PostgreSQL holds is left.
  void Restart(std::initializer_list<std::pair<std::string_view, std::string_view>> files,
               absl::Duration min_backoff = absl::Seconds(1)) {
    reconciler_.reset();
    auto migrations = MigrationsOf(files);
    ASSERT_TRUE(migrations.ok()) << migrations.status();
    Build(Reconciler::Options{.resync_interval = absl::Hours(1),
                              .min_backoff = min_backoff,
                              .max_backoff = 8 * min_backoff,
                              .parallelism = 2,
                              .tenant_migrations = *migrations,
                              .central_migrations = {}},
          [this] { ++statuses_; });
  }

  static bool Eventually(const std::function<bool()>& condition) {
    const absl::Time end = absl::Now() + absl::Seconds(20);
    while (!condition()) {
      if (absl::Now() > end) return false;
      absl::SleepFor(absl::Milliseconds(20));
    }
    return true;
  }
  static std::string Exists(std::string_view id) {
    return test_->Ask("postgres",
                      std::format("SELECT count(*) FROM pg_database WHERE datname = 'tenant_{}_identity'", id));
  }
  static std::string CanLogIn(std::string_view id) {
    return test_->Ask("postgres",
                      std::format("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'tenant_{}_identity'", id));
  }

  int statuses_ = 0;
};

}  // namespace leasehold::provisioner
