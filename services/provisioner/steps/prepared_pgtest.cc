// Tenants that leave prepared transactions behind, on an instance that lets them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/status/error.h"
#include "services/provisioner/steps/tenant_database.h"
#include "services/provisioner/testing/instance_suite.h"

namespace leasehold::provisioner {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kDatabaseId = "00000000000000aa";

class PreparedTest : public InstanceSuite {
 protected:
  static void SetUpTestSuite() { StartInstance({"max_prepared_transactions=5"}); }

  static absl::Status Run(std::string_view tenant, std::span<const TenantDatabase::Step> steps) {
    postgres::Connection central = test_->Login();
    const Migrations none;
    TenantDatabase database(test_->instance(), none, central,
                            {.tenant = *TenantId::Parse(tenant), .database_id = std::string(kDatabaseId)});
    return database.Run(steps, [] { return absl::OkStatus(); });
  }
  static void Leave(postgres::Connection session, const std::string& gid) {
    ASSERT_EQ(AskOver(session, "CREATE TABLE IF NOT EXISTS left_behind (i int)"), "");
    ASSERT_EQ(session.ExecAlone("BEGIN").status(), absl::OkStatus());
    ASSERT_EQ(session.ExecAlone("INSERT INTO left_behind VALUES (1)").status(), absl::OkStatus());
    ASSERT_EQ(session.ExecAlone("PREPARE TRANSACTION " + postgres::QuoteLiteral(gid)).status(), absl::OkStatus());
  }
  static postgres::Connection Owner(const std::string& database) {
    return postgres::Connection(test_->instance().AsRole(database, database, kDatabaseId, RoleKind::kOwner));
  }
  static std::string Prepared() { return test_->Ask("postgres", "SELECT count(*) FROM pg_prepared_xacts"); }
};

TEST_F(PreparedTest, DoNotKeepATenantFromBeingDropped) {
  ASSERT_EQ(Run("left", TenantDatabase::Present()), absl::OkStatus());
  Leave(Owner("tenant_left_identity"), "it's mine");
  ASSERT_EQ(test_->Ask("tenant_left_identity", "ALTER DATABASE tenant_left_identity CONNECTION LIMIT 0"), "");
  ASSERT_EQ(
      test_->Ask("tenant_left_identity", "REVOKE CONNECT ON DATABASE tenant_left_identity FROM tenant_left_identity"),
      "");
  EXPECT_EQ(Run("left", TenantDatabase::Absent()), absl::OkStatus());
  EXPECT_EQ(Prepared(), "0");
  EXPECT_EQ(test_->Ask("postgres", "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'tenant_left%'"), "0");
  EXPECT_EQ(test_->Ask("postgres", "SELECT count(*) FROM pg_database WHERE datname LIKE 'tenant_left%'"), "0");
}

// Its own password: which a role may change, and which locks it.
TEST_F(PreparedTest, OrOpenOnesThatHoldATenantsRoleDoNotKeepItFromBeingShut) {
  ASSERT_EQ(Run("held", TenantDatabase::Present()), absl::OkStatus());
  postgres::Connection open = Owner("tenant_held_identity");
  ASSERT_EQ(open.ExecAlone("BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'mine'").status(), absl::OkStatus());
  EXPECT_EQ(Run("held", TenantDatabase::Shut()), absl::OkStatus());
  ASSERT_EQ(Run("held", TenantDatabase::Present()), absl::OkStatus());

  postgres::Connection gone = Owner("tenant_held_identity");
  ASSERT_EQ(gone.ExecAlone("BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'mine'").status(), absl::OkStatus());
  ASSERT_EQ(gone.ExecAlone("PREPARE TRANSACTION 'held'").status(), absl::OkStatus());
  EXPECT_EQ(Run("held", TenantDatabase::Shut()), absl::OkStatus());
  EXPECT_EQ(test_->Ask("postgres", "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'tenant_held_identity'"), "f");
  EXPECT_EQ(Prepared(), "0");
  EXPECT_EQ(Run("held", TenantDatabase::Absent()), absl::OkStatus());
}

TEST_F(PreparedTest, AreKeptWhereTheyHoldNothingUp) {
  ASSERT_EQ(Run("doubt", TenantDatabase::Present()), absl::OkStatus());
  Leave(Owner("tenant_doubt_identity"), "in doubt");
  EXPECT_EQ(Run("doubt", TenantDatabase::Shut()), absl::OkStatus());
  EXPECT_EQ(Prepared(), "1") << "whoever resumes the tenant may still commit it";
  EXPECT_EQ(Run("doubt", TenantDatabase::Absent()), absl::OkStatus());
}

TEST_F(PreparedTest, OfSomebodyElseIsNamedAndLeft) {
  ASSERT_EQ(Run("other", TenantDatabase::Present()), absl::OkStatus());
  Leave(test_->Superuser("tenant_other_identity"), "foreign");
  const absl::Status dropped = Run("other", TenantDatabase::Absent());
  EXPECT_EQ(ReasonOf(dropped), v1::REASON_INSUFFICIENT_PRIVILEGE);
  EXPECT_THAT(std::string(dropped.message()),
              HasSubstr("role postgres has left a prepared transaction in database tenant_other_identity"));
  EXPECT_EQ(Prepared(), "1");
  ASSERT_EQ(test_->Superuser("tenant_other_identity").ExecAlone("ROLLBACK PREPARED 'foreign'").status(),
            absl::OkStatus());
  EXPECT_EQ(Run("other", TenantDatabase::Absent()), absl::OkStatus());
}

}  // namespace
}  // namespace leasehold::provisioner
