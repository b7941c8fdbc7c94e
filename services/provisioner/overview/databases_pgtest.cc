// An instance's databases as its provisioner's login sees them.
#include "services/provisioner/overview/databases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "common/config/config.h"
#include "common/status/error.h"
#include "services/provisioner/overview/instance_calls.h"
#include "services/provisioner/state/central.h"
#include "services/provisioner/testing/instance_suite.h"

namespace leasehold::provisioner {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class DatabasesTest : public InstanceSuite {
 protected:
  static void SetUpTestSuite() {
    StartInstance();
    for (const char* name :
         {"tenant_acme_identity", "tenant_globex_identity", "leasehold_new_0123456789abcdef", "app"}) {
      test_->Ask("postgres", std::string("CREATE DATABASE ") + name);
    }
    test_->Ask("tenant_globex_identity",
               "CREATE TABLE ballast AS SELECT repeat(md5(i::text), 9) FROM generate_series(1, 9000) i");
    test_->Ask("postgres", "REVOKE CONNECT ON DATABASE app FROM PUBLIC");
  }

  static v1::Instance Look(const v1::ListInstancesRequest& request) {
    postgres::Connection login = test_->Login();
    auto seen = LookAt(login, test_->instance(), request);
    EXPECT_TRUE(seen.ok()) << seen.status();
    return seen.ok() ? *std::move(seen) : v1::Instance();
  }
  static v1::Instance Look(v1::DatabaseOrder order, int limit = 0) {
    v1::ListInstancesRequest request;
    request.set_order(order);
    request.set_limit(limit);
    return Look(request);
  }
  static const v1::InstanceDatabase& Of(const v1::Instance& instance, std::string_view name) {
    for (const auto& database : instance.databases()) {
      if (database.database() == name) return database;
    }
    ADD_FAILURE() << name << " is not listed";
    return v1::InstanceDatabase::default_instance();
  }
  static std::vector<std::string> Names(const v1::Instance& instance) {
    std::vector<std::string> names;
    for (const auto& database : instance.databases()) names.push_back(database.database());
    return names;
  }
  static absl::Status Refused(const v1::ListInstancesRequest& request) {
    postgres::Connection login = test_->Login();
    return LookAt(login, test_->instance(), request).status();
  }
};

TEST_F(DatabasesTest, TellsOfTheServerAndWhoseEachDatabaseIs) {
  const v1::Instance seen = Look(v1::DATABASE_ORDER_SIZE);
  EXPECT_EQ(seen.service(), "identity");
  EXPECT_THAT(seen.server_version(), StartsWith("17."));
  EXPECT_EQ(std::to_string(seen.max_connections()), test_->Ask("postgres", "SHOW max_connections"));
  EXPECT_LT(absl::Now() - ToTime(seen.start_time()), absl::Hours(1));
  EXPECT_EQ(seen.database_count(), 6) << "no templates";
  EXPECT_EQ(seen.tenant_databases(), 2);
  EXPECT_EQ(seen.spare_databases(), 1);
  EXPECT_EQ(Of(seen, "tenant_acme_identity").tenant(), "acme");
  EXPECT_EQ(Of(seen, "tenant_acme_identity").kind(), v1::DATABASE_KIND_TENANT);
  EXPECT_EQ(Of(seen, "identity_central").kind(), v1::DATABASE_KIND_CENTRAL);
  EXPECT_EQ(Of(seen, "leasehold_new_0123456789abcdef").kind(), v1::DATABASE_KIND_SPARE);
  EXPECT_EQ(Of(seen, "postgres").kind(), v1::DATABASE_KIND_OTHER);
}

TEST_F(DatabasesTest, SizesAreWhatPostgresSaysAndTheLargestComesFirst) {
  const v1::Instance seen = Look(v1::DATABASE_ORDER_SIZE);
  ASSERT_GT(seen.databases_size(), 0);
  EXPECT_EQ(seen.databases(0).database(), "tenant_globex_identity");
  EXPECT_EQ(std::to_string(seen.databases(0).size_bytes()),
            test_->Ask("postgres", "SELECT pg_database_size('tenant_globex_identity')"));
  int64_t total = 0;
  for (const auto& database : seen.databases()) total += database.size_bytes();
  EXPECT_EQ(seen.size_bytes(), total);
}

TEST_F(DatabasesTest, WhatTheLoginMayNotConnectToHasNoSize) {
  const v1::Instance seen = Look(v1::DATABASE_ORDER_SIZE);
  EXPECT_FALSE(Of(seen, "app").has_size_bytes());
  EXPECT_TRUE(Of(seen, "postgres").has_size_bytes());
}

TEST_F(DatabasesTest, ALimitLeavesOutTheRestAndNotTheirSizes) {
  const v1::Instance all = Look(v1::DATABASE_ORDER_SIZE);
  const v1::Instance first = Look(v1::DATABASE_ORDER_SIZE, 1);
  EXPECT_THAT(Names(first), ElementsAre("tenant_globex_identity"));
  EXPECT_EQ(first.database_count(), 6);
  EXPECT_EQ(first.size_bytes(), all.size_bytes());
}

TEST_F(DatabasesTest, ByNameOnlyWhatIsListedIsMeasured) {
  const v1::Instance seen = Look(v1::DATABASE_ORDER_NAME, 3);
  EXPECT_THAT(Names(seen), ElementsAre("app", "identity_central", "leasehold_new_0123456789abcdef"));
  EXPECT_TRUE(seen.databases(1).has_size_bytes());
  EXPECT_FALSE(seen.has_size_bytes());
}

TEST_F(DatabasesTest, OneTenantsAlone) {
  v1::ListInstancesRequest request;
  request.set_tenant("acme");
  EXPECT_THAT(Names(Look(request)), ElementsAre("tenant_acme_identity"));
  request.set_tenant("nobody");
  EXPECT_THAT(Names(Look(request)), ElementsAre());
}

TEST_F(DatabasesTest, SessionsAndTheLongestTransaction) {
  postgres::Connection idle = test_->Login("tenant_acme_identity");
  ASSERT_TRUE(idle.Connect().ok());
  postgres::Connection open = test_->Login("tenant_acme_identity");
  const absl::Status done = open.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(const pqxx::result mine, tx.Exec("SELECT pg_backend_pid(), session_user"));
    const v1::Instance seen = Look(v1::DATABASE_ORDER_TRANSACTION);
    EXPECT_EQ(Names(seen).front(), "tenant_acme_identity");
    const v1::InstanceDatabase& acme = Of(seen, "tenant_acme_identity");
    EXPECT_EQ(acme.connections(), 2);
    EXPECT_EQ(acme.active(), 0);
    EXPECT_EQ(acme.idle_in_transaction(), 1);
    EXPECT_GT(ToDuration(acme.longest_transaction()), absl::ZeroDuration());
    EXPECT_EQ(acme.pid(), mine[0][0].as<int>());
    EXPECT_EQ(acme.role(), mine[0][1].as<std::string>());
    EXPECT_THAT(acme.application(), StartsWith("leasehold"));
    EXPECT_EQ(ToDuration(seen.longest_transaction()), ToDuration(acme.longest_transaction()));
    EXPECT_FALSE(Of(seen, "identity_central").has_longest_transaction()) << "the question itself";
    EXPECT_EQ(Names(Look(v1::DATABASE_ORDER_CONNECTIONS)).front(), "tenant_acme_identity");
    return absl::OkStatus();
  });
  EXPECT_TRUE(done.ok()) << done;
}

TEST_F(DatabasesTest, SessionsOfRolesThatItMayNotSeeAreCountedAlone) {
  postgres::Connection theirs = test_->Superuser("app");
  const absl::Status done = theirs.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(tx.Exec("SELECT 1").status());
    const v1::Instance seen = Look(v1::DATABASE_ORDER_NAME);
    EXPECT_EQ(Of(seen, "app").connections(), 1);
    EXPECT_FALSE(Of(seen, "app").has_longest_transaction());
    EXPECT_EQ(seen.hidden_connections(), 1);
    return absl::OkStatus();
  });
  EXPECT_TRUE(done.ok()) << done;
}

TEST_F(DatabasesTest, RefusesWhatThereIsNot) {
  v1::ListInstancesRequest request;
  request.set_limit(10'001);
  EXPECT_EQ(ReasonOf(Refused(request)), v1::REASON_INVALID_FIELD);
  EXPECT_THAT(std::string(Refused(request).message()), HasSubstr("10001"));
  request.set_limit(-1);
  EXPECT_EQ(ReasonOf(Refused(request)), v1::REASON_INVALID_FIELD);
  request.Clear();
  request.set_order(static_cast<v1::DatabaseOrder>(77));
  EXPECT_THAT(std::string(Refused(request).message()), HasSubstr("77"));
  request.Clear();
  request.set_tenant("No Tenant");
  EXPECT_EQ(ReasonOf(Refused(request)), v1::REASON_INVALID_FIELD);
}

class InstanceCallsTest : public InstanceSuite {
 protected:
  static v1::InstanceAnswer Answer(InstanceCalls& calls, const std::string& bytes) {
    v1::InstanceAnswer answer;
    EXPECT_TRUE(answer.ParseFromString(calls.Answer(bytes)));
    return answer;
  }
};

TEST_F(InstanceCallsTest, TellsOfTheProvisionerAndRefusesWhatIsNoCall) {
  const SystemClock clock;
  postgres::ConnectionPool central(test_->instance().AsLogin("identity_central"), 2);
  ASSERT_TRUE(PrepareCentral(test_->instance(), {}, [] { return absl::OkStatus(); }).ok());
  RunStore runs(central, clock, test_->instance().service());
  const absl::Time begun = absl::FromUnixSeconds(1'700'000'000);
  bool compared = false;
  InstanceCalls calls(
      {.start_time = begun, .min_spares = 2, .max_spares = 9},
      {.instance = test_->instance(), .central = central, .runs = runs, .compared = [&] { return compared; }});
  v1::InstanceCall call;
  call.mutable_status();
  v1::InstanceAnswer answer = Answer(calls, call.SerializeAsString());
  EXPECT_TRUE(answer.error().empty());
  EXPECT_EQ(ToTime(answer.status().start_time()), begun);
  EXPECT_EQ(answer.status().spares_ready(), 0);
  EXPECT_EQ(answer.status().spares_min(), 2);
  EXPECT_EQ(answer.status().spares_max(), 9);
  EXPECT_FALSE(answer.status().has_run());

  v1::MigrationSpec spec;
  spec.set_service("identity");
  spec.set_kind(v1::MIGRATION_KIND_APPLY);
  ASSERT_TRUE(runs.Create(spec, {}, "").ok());
  EXPECT_EQ(Answer(calls, call.SerializeAsString()).status().run().id(), "identity.1");
  test_->Ask(
      "identity_central",
      "INSERT INTO leasehold.spares (database_id, state, create_time) VALUES ('0123456789abcdef', 'ready', now())");
  EXPECT_EQ(Answer(calls, call.SerializeAsString()).status().spares_ready(), 1);

  const std::string key = test_->instance().KeyFingerprint();
  EXPECT_EQ(Answer(calls, call.SerializeAsString()).status().role_key(), key);
  test_->Ask(
      "identity_central",
      "INSERT INTO leasehold.tenants (id, generation, desired, confirmed, desired_time, database_id, role_key,"
      " update_time) VALUES ('a', 1, 'present', true, now(), 'a', '" +
          key +
          "', now()), ('b', 1, 'present', true, now(), 'b', 'older', now()),"
          " ('c', 1, 'closed', true, now(), 'c', '', now()), ('d', 1, 'absent', true, now(), 'd', 'older', now()),"
          " ('e', 1, 'present', true, now(), NULL, '', now())");
  EXPECT_FALSE(Answer(calls, call.SerializeAsString()).status().has_outdated_secrets()) << "nobody asked";
  call.mutable_status()->set_count_outdated_secrets(true);
  EXPECT_FALSE(Answer(calls, call.SerializeAsString()).status().has_outdated_secrets()) << "nobody knows yet";
  compared = true;
  EXPECT_EQ(Answer(calls, call.SerializeAsString()).status().outdated_secrets(), 2);

  call.mutable_instance()->set_limit(1);
  EXPECT_EQ(Answer(calls, call.SerializeAsString()).instance().databases_size(), 1);
  for (const char* bytes : {"", "\xff\xff"}) {
    v1::RpcStatus error;
    ASSERT_TRUE(error.ParseFromString(Answer(calls, bytes).error()));
    EXPECT_EQ(error.code(), static_cast<int>(absl::StatusCode::kInvalidArgument)) << error.message();
  }
}

}  // namespace
}  // namespace leasehold::provisioner
