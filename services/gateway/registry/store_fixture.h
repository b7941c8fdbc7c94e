// The registry's store on a real server, with a database for each test. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <format>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/status/error.h"
#include "services/gateway/registry/database_suite.h"
#include "services/gateway/registry/outbox.h"
#include "services/gateway/registry/schema.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {

inline const std::vector<std::string> kServices = {"core", "identity"};

inline TenantId Id(std::string_view text) { return *TenantId::Parse(text); }

inline Settings SettingsOf(std::initializer_list<std::pair<std::string, std::string>> entries) {
  Settings settings;
  for (const auto& [key, value] : entries) settings[key] = value;
  return settings;
}

class StoreTest : public DatabaseSuite {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(DatabaseSuite::SetUp());
    pool_.emplace(Options(database_), 4);
    store_.emplace(*pool_, clock_, kServices, absl::Hours(24 * 7));
    postgres::Connection connection(Options(database_));
    const absl::Status migrated = MigrateSchema(connection);
    ASSERT_TRUE(migrated.ok()) << migrated;
  }

  static NewTenant Acme() {
    return {.id = Id("acme"),
            .name = "Acme",
            .domain = "acme.example",
            .settings = SettingsOf({{"plan", "gold"}}),
            .active = true};
  }

  v1::ServiceStatus Status(const std::string& service, v1::ServiceState state, int64_t generation) {
    v1::ServiceStatus status;
    status.set_service(service);
    status.set_state(state);
    status.set_generation(generation);
    status.set_database("tenant_acme_" + service);
    status.set_database_id("0011223344556677");
    status.set_attempts(1);
    status.set_schema_version(2);
    status.set_version(5);
    status.mutable_update_time()->set_seconds(1'800'000'000);
    return status;
  }

  void ReportAll(v1::ServiceState state, int64_t generation) {
    for (const std::string& service : kServices) {
      const auto changed = store_->Report(Id("acme"), Status(service, state, generation));
      ASSERT_TRUE(changed.ok()) << changed.status();
      EXPECT_TRUE(*changed);
    }
  }

  // Of the outbox, without the part of each message id that cannot be guessed.
  std::vector<std::string> Events() {
    std::vector<std::string> events;
    EXPECT_TRUE(pool_
                    ->InTransaction([&](postgres::Transaction& tx) -> absl::Status {
                      LH_ASSIGN_OR_RETURN(const std::vector<OutboxEvent> batch, TakeBatch(tx, 100));
                      for (const OutboxEvent& next : batch) {
                        const std::string& id = next.event.message_id;
                        EXPECT_EQ(id.size() - id.rfind('/'), 17u) << id;
                        events.push_back(std::format("{} {}", next.event.subject, id.substr(0, id.rfind('/'))));
                      }
                      return absl::OkStatus();
                    })
                    .ok());
    return events;
  }

  FakeClock clock_;
  std::optional<postgres::ConnectionPool> pool_;
  std::optional<Store> store_;
};

}  // namespace leasehold::gateway
