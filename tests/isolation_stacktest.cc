// No session ever sees another tenant's database, and PostgreSQL itself keeps tenants apart.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

TEST(Isolation, TwoTenantsNeverSeeEachOthersRows) {
  Stack& stack = SharedStack();
  const std::string one = stack.CreateTenant(FreshTenantId());
  const std::string two = stack.CreateTenant(FreshTenantId());
  pqxx::connection first(stack.Acquire(one, "alpha").credentials().dsn());
  pqxx::connection second(stack.Acquire(two, "alpha").credentials().dsn());
  ASSERT_TRUE(Value(first, "INSERT INTO notes (body) VALUES ('of one')").ok());
  ASSERT_TRUE(Value(second, "INSERT INTO notes (body) VALUES ('of two')").ok());
  EXPECT_EQ(*Value(first, "SELECT string_agg(body, ',') FROM notes"), "of one");
  EXPECT_EQ(*Value(second, "SELECT string_agg(body, ',') FROM notes"), "of two");
  // A lease without switch_to reaches its own tenant only, in every form.
  for (const std::string& form : {absl::StrCat("SET leasehold.tenant = '", two, "'"),
                                  absl::StrCat("SELECT set_config('leasehold.tenant', '", two, "', false)"),
                                  absl::StrCat("set session leasehold.tenant to \"", two, "\"")}) {
    EXPECT_EQ(Value(first, form).status().message(), "42501") << form;
    EXPECT_EQ(*Value(first, "SELECT current_database()"), absl::StrCat("tenant_", one, "_alpha"));
  }
}

TEST(Isolation, SwitchingUnderConcurrencyAlwaysAnswersFromTheRightDatabase) {
  Stack& stack = SharedStack();
  std::vector<std::string> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(stack.CreateTenant(FreshTenantId("sw")));
  Stack::LeaseOptions options;
  options.connection = "central";
  options.switch_to = {"sw-*"};
  const std::string dsn = stack.Acquire("", "alpha", options).credentials().dsn();
  std::atomic<int> wrong = 0;
  std::atomic<int> moves = 0;
  std::vector<std::thread> clients;
  for (int c = 0; c < 6; ++c) {
    clients.emplace_back([&, c] {
      std::mt19937 random(c);  // a fixed seed: the same moves each time
      pqxx::connection sql(dsn);
      for (int i = 0; i < 40; ++i) {
        const std::string& id = ids[random() % ids.size()];
        pqxx::nontransaction work(sql);
        if (i % 2 == 0) {
          work.exec(absl::StrCat("SET leasehold.tenant = '", id, "'"));
        } else {
          work.exec("SELECT set_config('leasehold.tenant', $1, false)", pqxx::params{id});
        }
        const std::string at = work.exec("SELECT current_database()")[0][0].as<std::string>();
        if (at != absl::StrCat("tenant_", id, "_alpha")) ++wrong;
        ++moves;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(moves, 240);
}

TEST(Isolation, AReadOnlyLeaseReadsWhatTheOwnerMakesAndWritesNothing) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  pqxx::connection owner(stack.Acquire(id, "beta").credentials().dsn());
  ASSERT_TRUE(Value(owner, "CREATE TABLE late (n int)").ok());
  ASSERT_TRUE(Value(owner, "INSERT INTO late VALUES (7)").ok());
  Stack::LeaseOptions options;
  options.read_only = true;
  pqxx::connection reader(stack.Acquire(id, "beta", options).credentials().dsn());
  EXPECT_EQ(*Value(reader, "SELECT n FROM late"), "7");
  EXPECT_EQ(Value(reader, "INSERT INTO late VALUES (8)").status().message(), "25006");
  ASSERT_TRUE(Value(reader, "SET default_transaction_read_only = off").ok());
  EXPECT_EQ(Value(reader, "INSERT INTO late VALUES (8)").status().message(), "42501")
      << "grants stand behind the default";
}

TEST(Isolation, PublicMayNotConnectAndTheProvisionerIsNoSuperuser) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  for (const char* service : {"alpha", "beta"}) {
    EXPECT_EQ(stack.OnInstance(service,
                               "SELECT count(*) FROM pg_database d WHERE datname LIKE 'tenant\\_%' AND EXISTS "
                               "(SELECT FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) x "
                               "WHERE x.grantee = 0 AND x.privilege_type = 'CONNECT')"),
              "0");
    EXPECT_EQ(stack.OnInstance(service, "SELECT rolsuper FROM pg_roles WHERE rolname = 'leasehold'"), "f");
  }
  pqxx::connection sql(stack.Acquire(id, "alpha").credentials().dsn());
  EXPECT_EQ(Value(sql, "SET ROLE leasehold").status().message(), "42501");
  EXPECT_EQ(Value(sql, "SET SESSION AUTHORIZATION postgres").status().message(), "42501");
  EXPECT_EQ(Value(sql, "COPY notes TO PROGRAM 'true'").status().message(), "42501");
}

TEST(Isolation, ServerConnectionsNeverExceedTheCap) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  const std::string dsn = stack.Acquire(id, "alpha").credentials().dsn();
  constexpr int kCap = 20;  // of tests/stack/leasehold.yaml
  std::atomic<bool> full = false;
  std::atomic<bool> done = false;
  std::atomic<int> most = 0;
  std::thread observer([&] {
    while (!done) {
      const int now = std::stoi(stack.OnInstance(
          "alpha", absl::StrCat("SELECT count(*) FROM pg_stat_activity WHERE usename = 'tenant_", id, "_alpha'")));
      most = std::max(most.load(), now);
      if (now >= kCap) full = true;
    }
  });
  std::vector<std::thread> clients;
  for (int c = 0; c < 2 * kCap; ++c) {
    clients.emplace_back([&] {
      pqxx::connection sql(dsn);
      // Twice as many as there are servers, each with something that takes a while: those who wait make the pool grow.
      EXPECT_TRUE(Eventually([&] { return !Value(sql, "SELECT pg_sleep(0.1)").ok() || full.load(); }));
      EXPECT_TRUE(Value(sql, "SELECT 1").ok());
    });
  }
  for (std::thread& client : clients) client.join();
  done = true;
  observer.join();
  EXPECT_EQ(most, kCap);
}

}  // namespace
}  // namespace leasehold::testing
