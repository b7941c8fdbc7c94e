// Giving spares to tenants, on a real server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <format>
#include <thread>

#include "common/status/error.h"
#include "services/provisioner/spares/testing_spares.h"

namespace leasehold::provisioner {
namespace {

using ::testing::HasSubstr;

TEST_F(SparesTest, ATenantIsReadyWithTheTransactionThatWantsIt) {
  WorkAll();
  const std::string spare = AnySpare();
  const Claims::Wanted wanted = Want("claimed");
  EXPECT_TRUE(wanted.changed);
  ASSERT_TRUE(wanted.settled.has_value());
  const TenantRecord record = **records_.Get(Id("claimed"));
  EXPECT_EQ(record.state, v1::SERVICE_STATE_READY);
  EXPECT_EQ(record.state_generation, 1);
  EXPECT_EQ(record.database_id, spare);
  EXPECT_EQ(record.database_generation, 1);
  EXPECT_EQ(record.schema_version, 1);
  EXPECT_EQ(record.role_key, test_->instance().KeyFingerprint());
  EXPECT_EQ(record.status_version, wanted.settled->status_version);
  EXPECT_EQ(found_, 1);

  postgres::Connection owner = As("claimed", spare, RoleKind::kOwner);
  EXPECT_EQ(AskOver(owner, "INSERT INTO person (name) VALUES ('Grace') RETURNING name"), "Grace");
  postgres::Connection reader = As("claimed", spare, RoleKind::kReadOnly);
  EXPECT_EQ(AskOver(reader, "SELECT count(*) FROM person"), "2");
  EXPECT_EQ(AskOver(reader, "DELETE FROM person"), "error: 42501");
  EXPECT_EQ(WorkAll(), 1) << "and another is made in its place";
}

TEST_F(SparesTest, AClaimedDatabaseIsWhatTheLongWayMakes) {
  WorkAll();
  ASSERT_TRUE(Want("spared").settled.has_value());
  ASSERT_EQ(MakeSlowly("slowly", "00000000000000aa"), absl::OkStatus());
  const std::string database_id = (*records_.Get(Id("spared")))->database_id;
  // Ids and names of the two are made one, so that all else must be.
  const auto about = [&](const std::string& id) {
    const std::string name = std::format("tenant_{}_identity", id);
    std::string all;
    for (const std::string& sql : {
             std::format(
                 "SELECT row(datacl, pg_get_userbyid(datdba), datconnlimit, datallowconn, datistemplate, encoding, "
                 "datlocprovider, datcollate, datctype, dattablespace, shobj_description(oid, 'pg_database')) "
                 "FROM pg_database WHERE datname = '{}'",
                 name),
             std::format(
                 "SELECT string_agg(row(r.rolname, r.rolcanlogin, r.rolsuper, r.rolinherit, r.rolcreaterole, "
                 "r.rolcreatedb, r.rolreplication, r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil, r.rolconfig, "
                 "left(a.rolpassword, 16), shobj_description(r.oid, 'pg_authid'))::text, ';' ORDER BY r.rolname) "
                 "FROM pg_roles r JOIN pg_authid a ON a.oid = r.oid WHERE starts_with(r.rolname, '{}')",
                 name),
             std::format(
                 "SELECT string_agg(row(roleid::regrole, member::regrole, grantor::regrole, admin_option, "
                 "inherit_option, set_option)::text, ';' ORDER BY roleid::regrole::text, grantor::regrole::text) "
                 "FROM pg_auth_members WHERE starts_with(pg_get_userbyid(roleid), '{}')",
                 name),
             std::format(
                 "SELECT string_agg(row(setconfig, pg_get_userbyid(setrole))::text, ';') FROM pg_db_role_setting "
                 "WHERE starts_with(pg_get_userbyid(setrole), '{}')",
                 name),
         }) {
      all += test_->Ask("postgres", sql) + "\n";
    }
    for (const std::string_view sql : {
             "SELECT string_agg(row(nspname, pg_get_userbyid(nspowner), nspacl)::text, ';' ORDER BY nspname) FROM "
             "pg_namespace WHERE nspname !~ '^pg_(temp|toast)'",
             "SELECT string_agg(row(relname, relkind, pg_get_userbyid(relowner), relacl)::text, ';' ORDER BY relname) "
             "FROM "
             "pg_class WHERE relnamespace::regnamespace::text IN ('public', 'leasehold')",
             "SELECT string_agg(row(pg_get_userbyid(defaclrole), defaclnamespace, defaclobjtype, defaclacl)::text, ';' "
             "ORDER BY defaclobjtype) FROM pg_default_acl",
             "SELECT string_agg(row(version, name, checksum, applied_at IS NULL)::text, ';') FROM leasehold.migrations",
             "SELECT string_agg(person::text, ';') FROM person",
         }) {
      all += test_->Ask(name, sql) + "\n";
    }
    for (const auto& [from, to] : {std::pair{id, std::string("ID")},
                                   {database_id, std::string("DB")},
                                   {std::string("00000000000000aa"), std::string("DB")}}) {
      for (size_t at = all.find(from); at != std::string::npos; at = all.find(from)) all.replace(at, from.size(), to);
    }
    return all;
  };
  EXPECT_THAT(about("spared"), HasSubstr("leasehold_claims_"));
  EXPECT_EQ(WorkAll(), 1) << "a spare in its place";
  const std::string spared = about("spared");
  EXPECT_EQ(spared, about("slowly"));
  EXPECT_THAT(spared, HasSubstr("default_transaction_read_only=on"));
  EXPECT_THAT(spared, Not(HasSubstr("error")));
  EXPECT_THAT(spared, Not(HasSubstr("leasehold_new")));
}

TEST_F(SparesTest, WithNoneLeftTheTenantIsOnlyRecorded) {
  const Claims::Wanted wanted = Want("early");
  EXPECT_TRUE(wanted.changed);
  EXPECT_FALSE(wanted.settled.has_value());
  EXPECT_EQ((*records_.Get(Id("early")))->state, v1::SERVICE_STATE_PENDING);
  EXPECT_EQ(missed_, 1);
  WorkAll();
  const auto settled = claims_->Take(**records_.Get(Id("early")));
  ASSERT_TRUE(settled.ok() && settled->has_value()) << "it is given one that was made meanwhile";
  EXPECT_EQ((*settled)->state, v1::SERVICE_STATE_READY);
  EXPECT_EQ(Says("SELECT count(*) FROM pg_database WHERE datname = 'tenant_early_identity'"), "1");
}

TEST_F(SparesTest, AnAnnouncedTenantStaysReadyWhenTheRegistryTakesItIn) {
  WorkAll();
  for (const std::string id : {"taken-in", "refused"}) {
    const auto announced = claims_->Want(Id(id), {.state = v1::DESIRED_STATE_PRESENT});
    ASSERT_TRUE(announced.ok() && announced->claimed && announced->settled.has_value());
    EXPECT_EQ(announced->settled->generation, 0);
  }
  const auto taken = claims_->Want(Id("taken-in"), {.generation = 1, .create_generation = 1});
  ASSERT_TRUE(taken.ok() && taken->changed && taken->settled.has_value());
  EXPECT_FALSE(taken->claimed);
  const TenantRecord record = **records_.Get(Id("taken-in"));
  EXPECT_EQ(record.state, v1::SERVICE_STATE_READY);
  EXPECT_EQ(record.generation, 1);
  EXPECT_EQ(record.state_generation, 1);
  EXPECT_EQ(record.database_generation, 1) << "it is this tenant's now";
  EXPECT_EQ(record.attempts, 1);
  EXPECT_GT(record.status_version, record.reported_version) << "the registry is to hear of it";

  EXPECT_FALSE(Want("refused", v1::DESIRED_STATE_ABSENT).settled.has_value());
  EXPECT_EQ((*records_.Get(Id("refused")))->state, v1::SERVICE_STATE_PENDING);
  EXPECT_EQ(found_, 2);
}

TEST_F(SparesTest, OnlyATenantThatShallHaveADatabaseAndHasNoneIsGivenOne) {
  WorkAll();
  EXPECT_FALSE(Want("closed", v1::DESIRED_STATE_CLOSED).settled.has_value());
  EXPECT_FALSE(Want("absent", v1::DESIRED_STATE_ABSENT).settled.has_value());
  ASSERT_TRUE(Want("has").settled.has_value());
  const auto again = claims_->Want(Id("has"), {.generation = 2, .state = v1::DESIRED_STATE_PRESENT});
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->changed);
  EXPECT_FALSE(again->settled.has_value());
  const auto doubled = claims_->Want(Id("has"), {.generation = 2, .state = v1::DESIRED_STATE_PRESENT});
  ASSERT_TRUE(doubled.ok());
  EXPECT_FALSE(doubled->changed);
  TenantRecord stale = **records_.Get(Id("closed"));
  stale.desired = v1::DESIRED_STATE_PRESENT;
  stale.generation = 0;  // overtaken meanwhile
  EXPECT_EQ(*claims_->Take(stale), std::nullopt);
  EXPECT_EQ(found_, 1);
  EXPECT_EQ(Stock(), "ready 1");
}

TEST_F(SparesTest, ANameThatIsTakenKeepsTheSpareAndWhatBearsTheName) {
  WorkAll();
  for (const auto& [id, sql] : {std::pair{"fdb", "CREATE DATABASE tenant_fdb_identity"},
                                std::pair{"frole", "CREATE ROLE tenant_frole_identity_ro"}}) {
    ASSERT_EQ(Says(sql), "");
    const Claims::Wanted wanted = Want(id);
    EXPECT_TRUE(wanted.changed) << "it is recorded all the same";
    EXPECT_FALSE(wanted.settled.has_value());
    EXPECT_EQ((*records_.Get(Id(id)))->database_id, "");
    EXPECT_EQ(Stock(), "ready 1, ready 1");
    EXPECT_EQ(Staged(), "2 4");
    EXPECT_EQ(ReasonOf(MakeSlowly(id, "00000000000000ff")), v1::REASON_NAME_TAKEN) << "and the long way says so";
  }
  EXPECT_EQ(Says("DROP DATABASE tenant_fdb_identity"), "");
  EXPECT_EQ(Says("DROP ROLE tenant_frole_identity_ro"), "");
  // What the attempts themselves have left.
  for (const char* id : {"fdb", "frole"}) {
    postgres::Connection central = test_->Login();
    TenantDatabase database(test_->instance(), migrations_, central,
                            {.tenant = Id(id), .database_id = "00000000000000ff"});
    EXPECT_EQ(database.Run(TenantDatabase::Absent(), GoOn), absl::OkStatus());
  }
}

TEST_F(SparesTest, ASpareThatSomebodyIsConnectedToIsPassedOver) {
  WorkAll();
  const std::string busy = AnySpare();
  postgres::Connection superuser = test_->Superuser(StagingName(busy));
  ASSERT_EQ(superuser.Connect(), absl::OkStatus());
  const Claims::Wanted first = Want("patient");
  ASSERT_TRUE(first.settled.has_value());
  EXPECT_NE(first.settled->database_id, busy);
  EXPECT_FALSE(Want("hasty").settled.has_value()) << "nobody waits for it";
}

TEST_F(SparesTest, EachIsGivenToOneTenantOnly) {
  Start({kFirst}, 6);
  ASSERT_EQ(WorkAll(), 6);
  std::atomic<int> given = 0;
  {
    std::vector<std::jthread> tenants;
    for (int i = 0; i < 4; ++i) {
      tenants.emplace_back([&, i] {
        for (int j = 0; j < 2; ++j) given += Want(std::format("many-{}-{}", i, j)).settled.has_value();
      });
    }
  }
  EXPECT_EQ(given, 6);
  EXPECT_EQ(CentralSays("SELECT count(DISTINCT database_id) FROM leasehold.tenants WHERE starts_with(id, 'many-')"),
            "6");
  EXPECT_EQ(Says("SELECT count(*) FROM pg_database WHERE starts_with(datname, 'tenant_many-')"), "6");
}

TEST_F(SparesTest, AClaimThatIsCutOffHalfWayTakesNothing) {
  WorkAll();
  const std::string spare = AnySpare();
  absl::StatusOr<Claims::Wanted> cut;
  postgres::Connection holder = test_->Superuser();
  const absl::Status held = holder.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    // The last rename waits for this.
    LH_RETURN_IF_ERROR(
        tx.Exec(std::format("COMMENT ON DATABASE leasehold_new_{0} IS 'leasehold:1:{0}'", spare)).status());
    std::atomic<bool> over = false;
    const std::jthread claim([&] {
      cut = claims_->Want(Id("cut"), {.generation = 1, .state = v1::DESIRED_STATE_PRESENT});
      over = true;
    });
    const absl::Time end = absl::Now() + absl::Seconds(30);
    while (!over && absl::Now() < end) {
      Says(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
          "starts_with(query, 'WITH wanted')");
    }
    return absl::OkStatus();
  });
  ASSERT_EQ(held, absl::OkStatus());
  EXPECT_TRUE(postgres::IsConnectionFailure(cut.status())) << cut.status();
  EXPECT_EQ(*records_.Get(Id("cut")), std::nullopt) << "the event comes again";
  EXPECT_EQ(Stock(), "ready 1, ready 1");
  EXPECT_EQ(Staged(), "2 4");
  EXPECT_EQ(Want("cut").settled->database_id, spare);
}

}  // namespace
}  // namespace leasehold::provisioner
