// Databases made ahead of time, seen from outside: who comes is given one, and whoever is killed over them leaves
// nothing lying about.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kServices[] = {"alpha", "beta"};

std::string Central(const std::string& service, const std::string& sql) {
  return SharedStack().OnInstance(service, sql, absl::StrCat(service, "_central"));
}

std::string ReadySpares(const std::string& service) {
  return Central(service,
                 "SELECT coalesce(string_agg(database_id, ','), '') FROM leasehold.spares WHERE state = 'ready'");
}

// As many as provisioner.min_spares by default.
bool AwaitSpares(const std::string& service) {
  return Eventually([&] { return ReadySpares(service).find(',') != std::string::npos; });
}

// Databases under the name they are built with that no row of the spares or of a tenant knows.
std::string Strays(const std::string& service) {
  return Central(service,
                 "SELECT count(*) FROM pg_database WHERE starts_with(datname, 'leasehold_new_') AND NOT EXISTS (SELECT "
                 "FROM (SELECT database_id FROM leasehold.spares UNION SELECT database_id FROM leasehold.tenants) AS k "
                 "WHERE datname = 'leasehold_new_' || database_id)");
}

std::string DatabaseIdOf(const std::string& tenant, const std::string& service) {
  return Central(service, absl::StrCat("SELECT database_id FROM leasehold.tenants WHERE id = '", tenant, "'"));
}

TEST(Spares, AnEventIsAnsweredByOneOfEachService) {
  Stack& stack = SharedStack();
  std::map<std::string, std::string> spares;
  for (const char* service : kServices) {
    ASSERT_TRUE(AwaitSpares(service)) << service;
    spares[service] = ReadySpares(service);
  }
  const std::string id = FreshTenantId();
  stack.PublishCreated(id, absl::StrCat("event-", id), absl::StrCat(id, ".test.local"));
  ASSERT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE));
  for (const char* service : kServices) {
    EXPECT_THAT(spares[service], HasSubstr(DatabaseIdOf(id, service))) << service;
    EXPECT_THAT(ReadySpares(service), Not(HasSubstr(DatabaseIdOf(id, service)))) << service;
  }
  pqxx::connection sql(stack.Acquire(id, "alpha").credentials().dsn());
  EXPECT_EQ(*Value(sql, "INSERT INTO notes (body) VALUES ('at once') RETURNING body"), "at once");
  for (const char* service : kServices) EXPECT_TRUE(AwaitSpares(service)) << "others take their place: " << service;
}

TEST(Spares, TenantsBeyondThemAreMadeTheLongWay) {
  Stack& stack = SharedStack();
  for (const char* service : kServices) ASSERT_TRUE(AwaitSpares(service)) << service;
  std::vector<std::string> ids;
  for (int i = 0; i < 12; ++i) {
    ids.push_back(FreshTenantId());
    stack.PublishCreated(ids.back(), absl::StrCat("event-", ids.back()));
  }
  for (const std::string& id : ids) {
    EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE)) << id;
    EXPECT_EQ(stack.DatabasesOf(id), 2) << id;
  }
}

TEST(Spares, AProvisionerKilledInTheMiddleOfARefillLeavesNothingBehind) {
  Stack& stack = SharedStack();
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(AwaitSpares("alpha"));
    const std::string id = FreshTenantId();
    stack.PublishCreated(id, absl::StrCat("event-", id));
    ASSERT_TRUE(Eventually(
        [] { return Central("alpha", "SELECT count(*) FROM leasehold.spares WHERE state = 'building'") != "0"; }));
    stack.KillAndAwait("provisioner/alpha");
    ASSERT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE));
    ASSERT_TRUE(AwaitSpares("alpha"));
    EXPECT_TRUE(Eventually(
        [] { return Central("alpha", "SELECT count(*) FROM leasehold.spares WHERE state = 'building'") == "0"; }));
    EXPECT_EQ(Strays("alpha"), "0");
    EXPECT_EQ(stack.DatabasesOf(id), 2);
  }
}

}  // namespace
}  // namespace leasehold::testing
