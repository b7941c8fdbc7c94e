// A trail on a real PostgreSQL and a real NATS server. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <format>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "common/status/error.h"
#include "services/gateway/audit/reading.h"
#include "services/gateway/audit/testing_config.h"
#include "services/gateway/audit/trail.h"
#include "services/gateway/registry/database_suite.h"
#include "services/gateway/registry/schema.h"

namespace leasehold::gateway {

inline constexpr absl::Duration kPatience = absl::Seconds(30);

inline bool Eventually(const std::function<bool()>& true_now) {
  const absl::Time end = absl::Now() + kPatience;
  while (absl::Now() < end) {
    if (true_now()) return true;
    absl::SleepFor(absl::Milliseconds(20));
  }
  return false;
}

inline AuditEntry Acquire(std::string_view tenant) {
  return {.action = v1::AUDIT_ACTION_LEASE_ACQUIRE,
          .principal = "dns:payroll",
          .address = "10.0.0.1:4711",
          .tenant = tenant,
          .service = "identity"};
}

class TrailSuite : public NatsDatabaseSuite {
 protected:
  // One gateway: what records, and what carries it on.
  struct Gateway {
    Gateway(const TrailSuite& test, const std::string& name, const std::string& on_failure)
        : recorder(AuditConfigOf(on_failure), test.clock_, metrics),
          trail({.registry = Options(test.database_), .gateway = name, .tick = absl::Milliseconds(50)}, recorder,
                *test.client_, metrics) {}

    Metrics metrics;
    AuditRecorder recorder;
    AuditTrail trail;
  };

  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(NatsDatabaseSuite::SetUp());
    connection_ = std::make_unique<postgres::Connection>(Options(database_));
    const absl::Status migrated = MigrateSchema(*connection_);
    ASSERT_TRUE(migrated.ok()) << migrated;
  }

  std::unique_ptr<Gateway> Start(const std::string& name = "gw/1", const std::string& on_failure = "continue") {
    auto gateway = std::make_unique<Gateway>(*this, name, on_failure);
    gateway->trail.Start();
    return gateway;
  }

  std::string Ask(const std::string& sql) {
    std::string answer;
    const absl::Status status = connection_->InTransaction([&](postgres::Transaction& tx) -> absl::Status {
      LH_ASSIGN_OR_RETURN(const pqxx::result result, tx.Exec(sql));
      if (!result.empty()) answer = result[0][0].is_null() ? "NULL" : result[0][0].as<std::string>();
      return absl::OkStatus();
    });
    return status.ok() ? answer : std::string(status.message());
  }

  int64_t Events() { return std::stoll(Ask("SELECT coalesce(sum(event_count), 0) FROM leasehold.audit")); }

  v1::VerifyAuditResponse Verify(int64_t from = 0, int limit = 0) {
    v1::VerifyAuditRequest request;
    request.set_number(from);
    request.set_limit(limit);
    v1::VerifyAuditResponse answer;
    const absl::Status status = connection_->InTransaction([&](postgres::Transaction& tx) -> absl::Status {
      LH_ASSIGN_OR_RETURN(answer, VerifyAudit(tx, request));
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
    return answer;
  }

  std::string WhyNotFrom(int64_t number) {
    v1::VerifyAuditRequest request;
    request.set_number(number);
    const absl::Status status = connection_->InTransaction(
        [&](postgres::Transaction& tx) -> absl::Status { return VerifyAudit(tx, request).status(); });
    return status.ok() ? "accepted" : std::string(status.message());
  }

  absl::StatusOr<v1::ListAuditEventsResponse> List(const v1::ListAuditEventsRequest& request) {
    v1::ListAuditEventsResponse answer;
    const absl::Status status = connection_->InTransaction([&](postgres::Transaction& tx) -> absl::Status {
      LH_ASSIGN_OR_RETURN(answer, ListAuditEvents(tx, request));
      return absl::OkStatus();
    });
    if (!status.ok()) return status;
    return answer;
  }

  std::vector<std::string> TenantsOf(const v1::ListAuditEventsRequest& request) {
    std::vector<std::string> tenants;
    const auto page = List(request);
    EXPECT_TRUE(page.ok()) << page.status();
    if (!page.ok()) return tenants;
    for (const v1::AuditEvent& event : page->events()) tenants.push_back(event.tenant());
    return tenants;
  }

  // As an intruder with the superuser's rights would.
  void Tamper(const std::string& sql) {
    ASSERT_EQ(Ask("ALTER TABLE leasehold.audit DISABLE TRIGGER ALL"), "");
    ASSERT_EQ(Ask(sql), "");
    ASSERT_EQ(Ask("ALTER TABLE leasehold.audit ENABLE ALWAYS TRIGGER append_only;"
                  " ALTER TABLE leasehold.audit ENABLE ALWAYS TRIGGER trimmed_only"),
              "");
  }

  // Records of one event each.
  void Store(Gateway& gateway, int count) {
    const int64_t before = Events();
    for (int i = 0; i < count; ++i) {
      gateway.recorder.Record(Acquire(std::format("t{}", i)));
      ASSERT_TRUE(Eventually([&] { return Events() == before + i + 1; }));
    }
  }

  FakeClock clock_;
  std::unique_ptr<postgres::Connection> connection_;
};

}  // namespace leasehold::gateway
