// What a tenant leaves in its database for the provisioner to come upon: none of it runs with the provisioner's login,
// which may do whatever all tenants may.
#include <gmock/gmock.h>

#include <format>
#include <functional>
#include <string>
#include <thread>

#include "services/provisioner/archive/dump_login.h"
#include "services/provisioner/reconcile/refill_fixture.h"
#include "services/provisioner/steps/observe.h"

namespace leasehold::provisioner {
namespace {

using ::testing::IsEmpty;
using ::testing::StartsWith;

// An index over a constant: PostgreSQL evaluates it whenever it plans anything over the table, as whoever that is for.
// Only a session of the provisioner's login could grant what it asks for then.
constexpr std::string_view kTrap =
    "CREATE FUNCTION public.grab() RETURNS void LANGUAGE plpgsql AS $$BEGIN IF session_user = 'leasehold' THEN "
    "IF NOT current_setting('transaction_read_only')::boolean THEN "
    "EXECUTE 'GRANT tenant_globex_identity TO tenant_acme_identity'; "
    "ELSE RAISE EXCEPTION 'caught %', session_user; END IF; END IF; END$$;"
    "CREATE FUNCTION public.calm(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS "
    "$$BEGIN PERFORM public.grab(); RETURN $1; END$$;"
    "CREATE INDEX trap ON public.note (public.calm(1));"
    "CREATE STATISTICS public.snare ON (public.calm(2) + length(text)), id FROM public.note";

bool Eventually(const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

class TenantsCodeTest : public RefillTest {
 protected:
  void SetUp() override {
    RefillTest::SetUp();
    Make("globex", 1);
    Make("acme", 20);
    postgres::Connection owner = As("acme", RoleKind::kOwner);
    for (const std::string_view sql : {kTrap, std::string_view("ANALYZE public.note")}) {
      ASSERT_EQ(AskOver(owner, sql), "") << sql;
    }
    // It does spring.
    ASSERT_EQ(AskOver(owner, "SELECT session_user = 'leasehold'"), "f");
    postgres::Connection login = test_->Login(Database("acme"));
    ASSERT_EQ(AskOver(login, "BEGIN READ ONLY; SELECT count(*) FROM public.note"), "error: P0001");
  }
  std::string Taken() {
    return test_->Ask("postgres", "SELECT pg_has_role('tenant_acme_identity', 'tenant_globex_identity', 'MEMBER')");
  }
};

TEST_F(TenantsCodeTest, NoBackupRunsIt) {
  Backup("acme.2", "acme");
  gateway_.Set("acme", 2, v1::DESIRED_STATE_CLOSED);
  PassAndWork();
  ASSERT_EQ(Get("acme").state, v1::SERVICE_STATE_CLOSED) << Get("acme").message;
  Backup("acme.3", "acme");
  EXPECT_EQ(Taken(), "f");
}

TEST_F(TenantsCodeTest, NoRestoreNorCloneRunsIt) {
  Backup("acme.2", "acme");
  gateway_.Set("acme", 3, v1::DESIRED_STATE_PRESENT);
  gateway_.SetOrigin("acme", "", "acme.2");
  gateway_.SetNew("copy", 1);
  gateway_.SetOrigin("copy", "acme", "");
  PassAndWork();
  for (const char* id : {"acme", "copy"}) {
    EXPECT_EQ(Get(id).state, v1::SERVICE_STATE_READY) << Get(id).message;
    EXPECT_EQ(Notes(id), "20");
  }
  EXPECT_EQ(Taken(), "f");
  EXPECT_THAT(Leftovers(), IsEmpty());
}

// pg_dump looks a sequence up by its name, late and without a lock: it is the owner's session that meets what has come
// in its place meanwhile. (Of a tenant that is suspended nobody could put anything there.)
TEST_F(TenantsCodeTest, WhoDumpsIsTheOwner) {
  ASSERT_EQ(test_->Ask(Database("acme"),
                       "CREATE TABLE leasehold.seen (who text, program text);"
                       "CREATE FUNCTION leasehold.note_login() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER "
                       "AS $$BEGIN INSERT INTO leasehold.seen VALUES (session_user); END$$;"
                       "CREATE EVENT TRIGGER seen ON login EXECUTE FUNCTION leasehold.note_login()"),
            "");
  Backup("acme.2", "acme");
  EXPECT_EQ(test_->Ask(Database("acme"), "SELECT count(*) FROM leasehold.seen WHERE who = 'tenant_acme_identity'"),
            "1");
}

// Of a tenant that is suspended it is the provisioner's, since nobody could put anything there: so it ends before
// somebody can.
TEST_F(TenantsCodeTest, WhoDumpsAClosedDatabaseIsGoneBeforeItOpens) {
  const std::string name = Database("acme");
  const std::string mark = MarkOf(Get("acme").database_id);
  gateway_.Set("acme", 2, v1::DESIRED_STATE_CLOSED);
  PassAndWork();
  postgres::Connection holder = test_->Login("identity_central");
  ASSERT_EQ(AskOver(holder, "SELECT 1"), "1");
  holder.Stay(true);
  ClosedDump closed(holder, name);
  const auto login = DumpLogin(test_->instance(), holder, name, mark, closed);
  ASSERT_TRUE(login.ok()) << login.status();
  postgres::Connection dump(*login);
  ASSERT_EQ(AskOver(dump, "SELECT session_user"), "leasehold");
  dump.Stay(true);

  gateway_.Set("acme", 3, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  EXPECT_EQ(Get("acme").state, v1::SERVICE_STATE_READY) << Get("acme").message;
  EXPECT_THAT(AskOver(dump, "SELECT 1"), StartsWith("error: "));
  EXPECT_THAT(AskOver(holder, "SELECT 1"), StartsWith("error: "));

  postgres::Connection next = test_->Login("identity_central");
  ClosedDump unneeded(next, name);
  const auto owner = DumpLogin(test_->instance(), next, name, mark, unneeded);
  ASSERT_TRUE(owner.ok()) << owner.status();
  postgres::Connection as_owner(*owner);
  EXPECT_EQ(AskOver(as_owner, "SELECT session_user"), name);
  gateway_.Set("acme", 4, v1::DESIRED_STATE_CLOSED);
  PassAndWork();
  gateway_.Set("acme", 5, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  EXPECT_EQ(AskOver(next, "SELECT 1"), "1") << "it has nothing to do with a closed database any more";
}

TEST_F(TenantsCodeTest, ABackupOfAClosedTenantBeginsAnewAsItsOwnerWhenThatIsOpened) {
  gateway_.Set("acme", 2, v1::DESIRED_STATE_CLOSED);
  PassAndWork();
  const auto state = [this] { return (*BackupRecords(pool_, clock_).Get("acme.2"))->state; };
  backups_.Add("acme.2", "acme");
  ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
  std::thread backup;
  // It comes as far as here.
  const absl::Status held = test_->Superuser(Database("acme")).InTransaction([&](postgres::Transaction& tx) {
    const absl::Status locked = tx.Exec("LOCK TABLE public.note IN ACCESS EXCLUSIVE MODE").status();
    backup = std::thread([this] { EXPECT_TRUE(keeper_->WorkOne().ok()); });
    EXPECT_TRUE(Eventually([this] {
      return test_->Ask("postgres",
                        std::format("SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND usename = "
                                    "'leasehold' AND wait_event_type = 'Lock'",
                                    Database("acme"))) == "1";
    }));
    gateway_.Set("acme", 3, v1::DESIRED_STATE_PRESENT);
    PassAndWork();
    EXPECT_EQ(Get("acme").state, v1::SERVICE_STATE_READY) << Get("acme").message;
    backup.join();
    return locked;
  });
  ASSERT_EQ(held, absl::OkStatus());
  EXPECT_EQ(state(), v1::BACKUP_STATE_FAILED) << "it was ended";
  clock_.Advance(absl::Seconds(10));
  EXPECT_TRUE(keeper_->WorkOne().ok());
  EXPECT_EQ(state(), v1::BACKUP_STATE_COMPLETE);
}

// PostgreSQL lets every role make large objects, and pg_dump fails at what the owner may not read.
class LargeObjectsTest : public RefillTest {
 protected:
  void SetUp() override {
    RefillTest::SetUp();
    Make("acme", 3);
    postgres::Connection reader = As("acme", RoleKind::kReadOnly);
    ASSERT_EQ(AskOver(reader, "BEGIN READ WRITE; SELECT lo_from_bytea(4711, 'theirs'); COMMIT"), "");
  }
  void Clone() {
    gateway_.SetNew("copy", 1);
    gateway_.SetOrigin("copy", "acme", "");
    PassAndWork();
    ASSERT_EQ(Get("copy").state, v1::SERVICE_STATE_READY) << Get("copy").message;
    EXPECT_EQ(Notes("copy"), "3");
  }
  std::string LargeObjectsOf(const std::string& tenant) {
    return test_->Ask(Database(tenant),
                      "SELECT string_agg(oid || ' ' || pg_get_userbyid(lomowner), ', ' ORDER BY oid) "
                      "FROM pg_largeobject_metadata");
  }
};

TEST_F(LargeObjectsTest, OfAReaderKeepNoCopyFromBeingMade) {
  Backup("acme.2", "acme");
  Clone();
  EXPECT_EQ(LargeObjectsOf("copy"), "");
  EXPECT_EQ(LargeObjectsOf("acme"), "4711 tenant_acme_identity_ro");
}

TEST_F(LargeObjectsTest, AreTheTenantsWhereItHasSomeItself) {
  postgres::Connection owner = As("acme", RoleKind::kOwner);
  ASSERT_EQ(AskOver(owner, "SELECT lo_from_bytea(4712, 'ours')"), "4712");
  Backup("acme.2", "acme");
  Clone();
  EXPECT_EQ(LargeObjectsOf("copy"), "4711 tenant_copy_identity, 4712 tenant_copy_identity");
  EXPECT_EQ(LargeObjectsOf("acme"), "4711 tenant_acme_identity, 4712 tenant_acme_identity");
}

// What a tenant can do, as owner of its database, to what is to be dropped.
class HeldUpTest : public RefillTest {
 protected:
  static void SetUpTestSuite() { StartInstance({"authentication_timeout=60s", "max_prepared_transactions=2"}); }
  void SetUp() override {
    RefillTest::SetUp();
    Make("globex", 1);
    Make("acme", 1);
  }
  void AsOwner(const std::string& tenant, std::string_view sql) {
    postgres::Connection owner = As(tenant, RoleKind::kOwner);
    ASSERT_EQ(AskOver(owner, sql), "") << sql;
  }
  std::string RolesOf(const std::string& tenant) {
    return test_->Ask("postgres",
                      std::format("SELECT count(*) FROM pg_roles WHERE starts_with(rolname, 'tenant_{}_')", tenant));
  }
  void ExpectRemoved(const std::string& tenant) {
    gateway_.Set(tenant, 2, v1::DESIRED_STATE_ABSENT);
    PassAndWork();
    EXPECT_EQ(Get(tenant).state, v1::SERVICE_STATE_REMOVED) << Get(tenant).message;
    EXPECT_EQ(RolesOf(tenant), "0");
    EXPECT_THAT(Leftovers(), IsEmpty());
    EXPECT_EQ(reconciler_->Pass(), absl::OkStatus());
  }
};

TEST_F(HeldUpTest, ADatabaseThatIsATemplateIsRemovedAllTheSame) {
  AsOwner("acme", "ALTER DATABASE tenant_acme_identity IS_TEMPLATE true");
  ExpectRemoved("acme");
}

TEST_F(HeldUpTest, APreparedTransactionIsRolledBack) {
  AsOwner("acme", "BEGIN; INSERT INTO note (text) VALUES ('later'); PREPARE TRANSACTION 'left'");
  ExpectRemoved("acme");
}

TEST_F(HeldUpTest, WhatOthersGrantKeepsNoRole) {
  AsOwner("globex",
          "GRANT SELECT ON note TO tenant_acme_identity;"
          "GRANT SELECT (n) ON extra.\"odd Name\" TO tenant_acme_identity_ro");
  AsOwner("globex", "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO tenant_acme_identity");
  AsOwner("globex", "CREATE POLICY p ON note TO tenant_acme_identity");
  AsOwner("globex", "GRANT CONNECT ON DATABASE tenant_globex_identity TO tenant_acme_identity_ro");
  AsOwner("globex", "ALTER DATABASE tenant_globex_identity CONNECTION LIMIT 0");
  AsOwner("acme", "GRANT SELECT ON note TO tenant_acme_identity_ro");
  test_->Ask("postgres", "REVOKE CONNECT ON DATABASE tenant_globex_identity FROM tenant_globex_identity");
  ExpectRemoved("acme");
  EXPECT_EQ(Notes("globex"), "1");
  EXPECT_EQ(Get("globex").state, v1::SERVICE_STATE_READY);
}

}  // namespace
}  // namespace leasehold::provisioner
