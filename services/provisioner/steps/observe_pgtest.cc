#include "services/provisioner/steps/observe.h"

#include <cstdint>
#include <format>
#include <functional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/provisioner/testing/instance_suite.h"

namespace leasehold::provisioner {
namespace {

constexpr std::string_view kPassword = "another login's";

class ObserveTest : public InstanceSuite {
 protected:
  // As a provisioner makes what is a tenant's: a role with its mark, and a database of it.
  static void Make(postgres::Connection& login, const std::string& name) {
    for (const std::string& sql :
         {std::format("CREATE ROLE {} LOGIN", name), std::format("COMMENT ON ROLE {} IS '{}'", name, MarkOf("feed")),
          std::format("GRANT {} TO CURRENT_USER", name), std::format("CREATE DATABASE {0} OWNER {0}", name)}) {
      ASSERT_EQ(login.ExecAlone(sql).status(), absl::OkStatus()) << sql;
    }
  }
};

// Two services may share an instance (ADR 15): each login sees what the other made.
TEST_F(ObserveTest, TellsWhatAnotherServicesLoginMadeFromItsOwn) {
  ASSERT_EQ(test_->Ask("postgres", std::format("CREATE ROLE employee LOGIN CREATEDB CREATEROLE PASSWORD {}",
                                               postgres::QuoteLiteral(kPassword))),
            "");
  postgres::Connection other(
      {.dsn = postgres::Dsn("127.0.0.1", test_->server().port(), "postgres", "employee", "disable"),
       .password = Secret(std::string(kPassword))});
  ASSERT_NO_FATAL_FAILURE(Make(other, "tenant_acme_employee"));
  ASSERT_NO_FATAL_FAILURE(Make(other, StagingName("feed")));
  postgres::Connection own = test_->Login();
  ASSERT_NO_FATAL_FAILURE(Make(own, "tenant_acme_stray"));
  postgres::Connection superuser = test_->Superuser();
  ASSERT_EQ(superuser.ExecAlone("CREATE ROLE tenant_acme_nobodys LOGIN").status(), absl::OkStatus());
  ASSERT_EQ(superuser.ExecAlone(std::format("COMMENT ON ROLE tenant_acme_nobodys IS '{}'", MarkOf("feed"))).status(),
            absl::OkStatus());

  const auto seen = ObserveAll(own, test_->instance().service());
  ASSERT_TRUE(seen.ok()) << seen.status();
  for (const std::string& name : {std::string("tenant_acme_employee"), StagingName("feed")}) {
    ASSERT_TRUE(seen->other_databases.contains(name) && seen->other_roles.contains(name)) << name;
    EXPECT_TRUE(seen->other_databases.at(name).of_another) << name;
    EXPECT_TRUE(seen->other_roles.at(name).of_another) << name;
  }
  EXPECT_FALSE(seen->other_databases.at("tenant_acme_stray").of_another);
  EXPECT_FALSE(seen->other_roles.at("tenant_acme_stray").of_another);
  EXPECT_FALSE(seen->other_roles.at("tenant_acme_nobodys").of_another) << "no service's login made it";

  const auto from_there = ObserveAll(other, *ServiceName::Parse("employee"));
  ASSERT_TRUE(from_there.ok()) << from_there.status();
  EXPECT_FALSE(from_there->tenants.at("acme").owner->of_another);
  EXPECT_TRUE(from_there->other_databases.at("tenant_acme_stray").of_another);
}

TEST_F(ObserveTest, ReadsAgainWhateverHasChangedAndNothingElse) {
  postgres::Connection own = test_->Login();
  ASSERT_NO_FATAL_FAILURE(Make(own, "tenant_globex_identity"));
  postgres::Connection superuser = test_->Superuser();
  ASSERT_EQ(superuser.ExecAlone("CREATE ROLE somebody").status(), absl::OkStatus());
  InstanceObserver observer(test_->instance().service());
  const auto look = [&]() -> ObservedTenant {
    const auto seen = observer.Observe(own);
    EXPECT_TRUE(seen.ok()) << seen.status();
    if (!seen.ok()) return {};
    const auto found = (*seen)->tenants.find("globex");
    return found == (*seen)->tenants.end() ? ObservedTenant() : found->second;
  };
  ASSERT_TRUE(look().owner.has_value());
  EXPECT_EQ(observer.reads(), 1);

  struct Change {
    std::string sql;
    std::function<bool(const ObservedTenant&)> shown;
  };
  const Change changes[] = {
      {"COMMENT ON DATABASE tenant_globex_identity IS 'mine'",
       [](const auto& t) { return t.database->mark == "mine"; }},
      {"COMMENT ON DATABASE tenant_globex_identity IS 'ours'",
       [](const auto& t) { return t.database->mark == "ours"; }},
      {"COMMENT ON DATABASE tenant_globex_identity IS NULL", [](const auto& t) { return t.database->mark.empty(); }},
      {"GRANT CREATE ON DATABASE tenant_globex_identity TO somebody",
       [](const auto& t) { return t.database->surplus.contains("somebody"); }},
      {"ALTER DATABASE tenant_globex_identity OWNER TO somebody",
       [](const auto& t) { return t.database->other_owner == "somebody"; }},
      {"ALTER ROLE tenant_globex_identity CREATEDB", [](const auto& t) { return t.owner->powers == "CREATEDB"; }},
      {"ALTER ROLE tenant_globex_identity NOLOGIN", [](const auto& t) { return !t.owner->can_login; }},
      {"GRANT tenant_globex_identity TO somebody", [](const auto& t) { return t.owner->members.contains("somebody"); }},
      {"REVOKE tenant_globex_identity FROM somebody", [](const auto& t) { return t.owner->members.empty(); }},
      {"UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'tenant_globex_identity'",
       [](const auto& t) { return !t.database->valid; }},
      {"DROP DATABASE tenant_globex_identity", [](const auto& t) { return !t.database.has_value(); }},
      {"ALTER ROLE tenant_globex_identity RENAME TO tenant_initech_identity",
       [](const auto& t) { return !t.owner.has_value(); }},
  };
  for (const Change& change : changes) {
    ASSERT_EQ(superuser.ExecAlone(change.sql).status(), absl::OkStatus()) << change.sql;
    const int64_t reads = observer.reads();
    EXPECT_TRUE(change.shown(look())) << change.sql;
    EXPECT_EQ(observer.reads(), reads + 1) << change.sql;
    (void)look();
    EXPECT_EQ(observer.reads(), reads + 1) << "nothing has changed since: " << change.sql;
  }
  for (const std::string role : {"somebody", "tenant_initech_identity"}) {
    EXPECT_EQ(superuser.ExecAlone(std::format("DROP ROLE {}", role)).status(), absl::OkStatus());
  }
}

}  // namespace
}  // namespace leasehold::provisioner
