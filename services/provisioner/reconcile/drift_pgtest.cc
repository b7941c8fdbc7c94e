// What somebody changes on an instance behind Leasehold's back is found by the next pass, put right where that is
// Leasehold's to do, and reported where it is not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>
#include <set>

#include "services/provisioner/reconcile/instance_fixture.h"

namespace leasehold::provisioner {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Name(std::string_view id) { return std::format("tenant_{}_identity", id); }

class DriftTest : public InstanceTest {
 protected:
  static void SetUpTestSuite() {
    ASSERT_NO_FATAL_FAILURE(StartInstance(
        {"shared_preload_libraries=pg_stat_statements", "autovacuum=off", "pg_stat_statements.track=top"}));
    test_->Ask("postgres", "CREATE EXTENSION pg_stat_statements");
    test_->Ask("postgres", "CREATE ROLE alice");
    // As a database administrator's tools would be: of the provisioner's making, and none of its roles.
    AsLogin("CREATE ROLE bob");
  }

  void SetUp() override {
    const auto migrations =
        MigrationsOf({{"0001_note.sql", "CREATE TABLE note (text text); INSERT INTO note VALUES ('kept');"}});
    ASSERT_TRUE(migrations.ok()) << migrations.status();
    Build(Reconciler::Options{.resync_interval = absl::Minutes(1),
                              .min_backoff = absl::Seconds(1),
                              .max_backoff = absl::Seconds(8),
                              .parallelism = 2,
                              .tenant_migrations = *migrations,
                              .central_migrations = {}},
          [] {});
    test_->Ask("identity_central", "TRUNCATE leasehold.tenants, leasehold.inspections");
  }

  void Make(const std::string& id) {
    gateway_.Set(id, 1, v1::DESIRED_STATE_PRESENT);
    PassAndWork();
    ASSERT_EQ(Get(id).state, v1::SERVICE_STATE_READY) << Get(id).message;
    PassAndWork();
    ASSERT_THAT(Findings(id), IsEmpty());
  }

  // "KIND object REMEDY" of the last report, each.
  std::set<std::string> Findings(std::string_view id) {
    std::set<std::string> found;
    for (const v1::Finding& finding : gateway_.findings()) {
      if (finding.tenant() != id) continue;
      found.insert(v1::FindingKind_Name(finding.kind()).substr(sizeof("FINDING_KIND_") - 1) + " " + finding.object() +
                   " " + v1::FindingRemedy_Name(finding.remedy()).substr(sizeof("FINDING_REMEDY_") - 1));
    }
    return found;
  }
  // The next pass finds exactly this, and the one after it nothing.
  void ExpectRepaired(std::string_view id, std::initializer_list<std::string> findings) {
    PassAndWork();
    EXPECT_EQ(Findings(id), std::set<std::string>(findings));
    EXPECT_EQ(Get(id).state, v1::SERVICE_STATE_READY) << Get(id).message;
    EXPECT_EQ(PassAndWork(), 0);
    EXPECT_THAT(Findings(id), IsEmpty());
  }
  // Each pass finds exactly this, and does nothing about it.
  void ExpectReported(std::string_view id, std::initializer_list<std::string> findings) {
    for (int pass = 0; pass < 2; ++pass) {
      EXPECT_EQ(PassAndWork(), 0);
      EXPECT_EQ(Findings(id), std::set<std::string>(findings));
    }
    EXPECT_EQ(Get(id).state, v1::SERVICE_STATE_READY) << Get(id).message;
  }

  static std::string Super(std::string_view sql, std::string_view database = "postgres") {
    return test_->Ask(database, sql);
  }
  static std::string AsLogin(std::string_view sql, std::string_view database = "identity_central") {
    postgres::Connection login = test_->Login(database);
    return AskOver(login, sql);
  }
  std::string AsReader(const std::string& id, std::string_view sql) {
    postgres::Connection reader(
        test_->instance().AsRole(Name(id), Name(id) + "_ro", Get(id).database_id, RoleKind::kReadOnly));
    return AskOver(reader, sql);
  }
};

TEST_F(DriftTest, APassThatFindsNothingWaitsForNoDisk) {
  Make("idle");
  Super(R"(CREATE TABLE public.writes (what text);
    CREATE FUNCTION public.note_write() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
      INSERT INTO public.writes VALUES (TG_TABLE_NAME || ' ' || current_setting('synchronous_commit'));
      RETURN NULL; END $$)",
        "identity_central");
  for (const char* table : {"tenants", "inspections", "schemas", "spares", "backups", "runs"}) {
    Super(std::format("CREATE TRIGGER note_write AFTER INSERT OR UPDATE OR DELETE ON leasehold.{} FOR EACH ROW "
                      "EXECUTE FUNCTION public.note_write()",
                      table),
          "identity_central");
  }
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(PassAndWork(), 0);
  EXPECT_EQ(Super("SELECT string_agg(what, ', ') FROM public.writes", "identity_central"), "inspections off");
  // What it makes does.
  gateway_.Set("made", 1, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  EXPECT_EQ(Super("SELECT string_agg(DISTINCT what, ', ') FROM public.writes WHERE what LIKE 'tenants %'",
                  "identity_central"),
            "tenants on");
  Super("DROP FUNCTION public.note_write CASCADE; DROP TABLE public.writes", "identity_central");
}

TEST_F(DriftTest, ARenamedDatabaseGetsItsNameBackWithItsData) {
  Make("renamed");
  Super("ALTER DATABASE tenant_renamed_identity RENAME TO elsewhere");
  ExpectRepaired("renamed", {"DATABASE_RENAMED elsewhere REPAIRED"});
  EXPECT_EQ(Super("SELECT text FROM note", Name("renamed")), "kept");
}

TEST_F(DriftTest, ARenamedDatabaseWhoseNameIsTakenIsLeftAlone) {
  Make("taken");
  Super("ALTER DATABASE tenant_taken_identity RENAME TO aside");
  Super("CREATE DATABASE tenant_taken_identity");
  PassAndWork();
  PassAndWork();
  EXPECT_EQ(Findings("taken"),
            (std::set<std::string>{"DATABASE_RENAMED aside REPORTED", "FOREIGN tenant_taken_identity REPORTED"}));
  EXPECT_EQ(Get("taken").state, v1::SERVICE_STATE_FAILED);
  EXPECT_THAT(Get("taken").message, HasSubstr("Leasehold did not make"));
  EXPECT_EQ(Super("SELECT text FROM note", "aside"), "kept");
  // Whoever has to decide does.
  Super("DROP DATABASE tenant_taken_identity");
  clock_.Advance(absl::Minutes(1));
  PassAndWork();
  EXPECT_EQ(Get("taken").state, v1::SERVICE_STATE_READY) << Get("taken").message;
  EXPECT_EQ(Super("SELECT text FROM note", Name("taken")), "kept");
}

TEST_F(DriftTest, ADatabaseThatMayBeTheTenantsStopsTheMakingOfAnEmptyOne) {
  Make("doubt");
  Super("ALTER DATABASE tenant_doubt_identity RENAME TO doubtful");
  Super("COMMENT ON DATABASE doubtful IS 'mine'");
  PassAndWork();
  EXPECT_EQ(Get("doubt").state, v1::SERVICE_STATE_FAILED);
  EXPECT_THAT(Get("doubt").message, HasSubstr("doubtful"));
  EXPECT_THAT(Findings("doubt"), Contains("DATABASE_RENAMED doubtful REPORTED"));
  Super("ALTER DATABASE doubtful RENAME TO tenant_doubt_identity");
  clock_.Advance(absl::Minutes(1));
  PassAndWork();
  EXPECT_EQ(Get("doubt").state, v1::SERVICE_STATE_READY) << Get("doubt").message;
  EXPECT_EQ(Super("SELECT text FROM note", Name("doubt")), "kept");
}

// Its owner may write another's mark on it, and wait.
TEST_F(DriftTest, ADatabaseThatIsPassedOffAsAnotherTenantsTakesNoNamesPlace) {
  Make("forger");
  Make("victim");
  postgres::Connection owner(
      test_->instance().AsRole(Name("forger"), Name("forger"), Get("forger").database_id, RoleKind::kOwner));
  ASSERT_EQ(AskOver(owner, std::format("COMMENT ON DATABASE {} IS 'leasehold:1:{}'", Name("forger"),
                                       Get("victim").database_id)),
            "");
  Super("DROP DATABASE tenant_victim_identity");
  ExpectRepaired("victim", {"DATABASE_MISSING tenant_victim_identity REPAIRED"});
  EXPECT_EQ(AskOver(owner, "SELECT text FROM note"), "kept") << "nobody has ended its session";
  gateway_.Set("victim", 2, v1::DESIRED_STATE_ABSENT);
  PassAndWork();
  EXPECT_EQ(Get("victim").state, v1::SERVICE_STATE_REMOVED) << Get("victim").message;
  EXPECT_EQ(Super("SELECT text FROM note", Name("forger")), "kept");
}

TEST_F(DriftTest, ADroppedDatabaseIsMadeAgainAndSaidToBe) {
  Make("dropped");
  Super("DROP DATABASE tenant_dropped_identity");
  ExpectRepaired("dropped", {"DATABASE_MISSING tenant_dropped_identity REPAIRED"});
  EXPECT_EQ(Super("SELECT count(*) FROM note", Name("dropped")), "1");
}

TEST_F(DriftTest, ARenamedDatabaseIsRemovedWithItsTenant) {
  Make("going");
  Super("ALTER DATABASE tenant_going_identity RENAME TO gone");
  gateway_.Set("going", 2, v1::DESIRED_STATE_ABSENT);
  PassAndWork();
  EXPECT_EQ(Get("going").state, v1::SERVICE_STATE_REMOVED) << Get("going").message;
  EXPECT_EQ(Super("SELECT count(*) FROM pg_database WHERE datname = 'gone'"), "0");
}

TEST_F(DriftTest, PrivilegesOnTheDatabase) {
  Make("grants");
  const std::string name = Name("grants");
  Super("GRANT CONNECT ON DATABASE tenant_grants_identity TO PUBLIC");
  Super("GRANT ALL ON DATABASE tenant_grants_identity TO alice WITH GRANT OPTION");
  Super("GRANT TEMPORARY ON DATABASE tenant_grants_identity TO tenant_grants_identity_ro");
  ExpectRepaired("grants", {"GRANT_WIDENED tenant_grants_identity REPAIRED"});
  EXPECT_EQ(Super("SELECT has_database_privilege('alice', 'tenant_grants_identity', 'CONNECT')"), "f");
  EXPECT_EQ(AsReader("grants", "SELECT text FROM note"), "kept");

  Super("REVOKE CONNECT ON DATABASE tenant_grants_identity FROM tenant_grants_identity_ro");
  Super("REVOKE CREATE ON DATABASE tenant_grants_identity FROM tenant_grants_identity");
  ExpectRepaired("grants", {"GRANT_REDUCED tenant_grants_identity REPAIRED"});
  EXPECT_EQ(Super("SELECT has_database_privilege('tenant_grants_identity', 'tenant_grants_identity', 'CREATE')"), "t");
  EXPECT_EQ(AsReader("grants", "SELECT text FROM note"), "kept");
}

TEST_F(DriftTest, TheWrongOwner) {
  Make("owned");
  Super("ALTER DATABASE tenant_owned_identity OWNER TO leasehold");
  ExpectRepaired("owned",
                 {"WRONG_OWNER tenant_owned_identity REPAIRED", "GRANT_REDUCED tenant_owned_identity REPAIRED"});
  EXPECT_EQ(Super("SELECT datdba::regrole FROM pg_database WHERE datname = 'tenant_owned_identity'"),
            "tenant_owned_identity");
  Super("ALTER DATABASE tenant_owned_identity OWNER TO postgres");
  Super("GRANT ALL ON DATABASE tenant_owned_identity TO tenant_owned_identity");
  ExpectReported("owned", {"WRONG_OWNER tenant_owned_identity REPORTED"});
}

TEST_F(DriftTest, WhatRolesWereGiven) {
  Make("roles");
  Super("ALTER ROLE tenant_roles_identity CREATEDB CREATEROLE");
  AsLogin("GRANT tenant_roles_identity TO bob");
  AsLogin("GRANT bob TO tenant_roles_identity_ro");
  ExpectRepaired("roles",
                 {"ROLE_CHANGED tenant_roles_identity REPAIRED", "GRANT_WIDENED tenant_roles_identity REPAIRED",
                  "GRANT_WIDENED tenant_roles_identity_ro REPAIRED"});
  EXPECT_EQ(Super("SELECT rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = 'tenant_roles_identity'"), "f");
  EXPECT_EQ(Super("SELECT pg_has_role('bob', 'tenant_roles_identity', 'MEMBER')"), "f");
  EXPECT_EQ(Super("SELECT pg_has_role('tenant_roles_identity_ro', 'bob', 'MEMBER')"), "f");

  Super("ALTER ROLE tenant_roles_identity SUPERUSER");
  Super("GRANT pg_read_all_data TO tenant_roles_identity_ro");
  ExpectReported("roles",
                 {"ROLE_CHANGED tenant_roles_identity REPORTED", "GRANT_WIDENED tenant_roles_identity_ro REPORTED"});
}

TEST_F(DriftTest, ARoleThatIsGoneComesBackWithWhatItMayRead) {
  Make("reader");
  Super("DROP OWNED BY tenant_reader_identity_ro", Name("reader"));
  Super("DROP ROLE tenant_reader_identity_ro");
  ExpectRepaired("reader",
                 {"ROLE_MISSING tenant_reader_identity_ro REPAIRED", "GRANT_REDUCED tenant_reader_identity REPAIRED"});
  EXPECT_EQ(AsReader("reader", "SELECT text FROM note"), "kept");
  Super("SET ROLE tenant_reader_identity; CREATE TABLE later (n int)", Name("reader"));
  EXPECT_EQ(AsReader("reader", "SELECT count(*) FROM later"), "0");
}

TEST_F(DriftTest, WhatIsGrantedInsideIsLookedAtInTurn) {
  Make("inside");
  const std::string name = Name("inside");
  Super("GRANT ALL ON SCHEMA public TO PUBLIC", name);
  Super("REVOKE SELECT ON note FROM tenant_inside_identity_ro", name);
  Super("GRANT INSERT ON note TO tenant_inside_identity_ro", name);
  Super(
      "ALTER DEFAULT PRIVILEGES FOR ROLE tenant_inside_identity REVOKE SELECT ON TABLES FROM tenant_inside_identity_ro",
      name);
  EXPECT_EQ(PassAndWork(), 0);
  EXPECT_THAT(Findings("inside"), IsEmpty()) << "it was looked into just now";
  clock_.Advance(absl::Hours(1));
  ExpectRepaired("inside", {"GRANT_WIDENED tenant_inside_identity: schema public REPAIRED",
                            "GRANT_REDUCED tenant_inside_identity: table public.note REPAIRED",
                            "GRANT_WIDENED tenant_inside_identity: table public.note REPAIRED",
                            "GRANT_REDUCED tenant_inside_identity: default privileges REPAIRED"});
  EXPECT_EQ(AsReader("inside", "SELECT text FROM note"), "kept");
  EXPECT_EQ(AsReader("inside", "SET default_transaction_read_only = off; INSERT INTO note VALUES ('no')"),
            "error: 42501");
}

TEST_F(DriftTest, TheHistoryOfAnOlderLeaseholdIsMadeAnew) {
  Make("older");
  const std::string name = Name("older");
  // As it was when the secret was in a table, and the history the owner's alone to read.
  Super(
      "DROP MATERIALIZED VIEW leasehold.history_secret CASCADE; CREATE TABLE leasehold.keeper (secret bytea); "
      "ALTER TABLE leasehold.keeper OWNER TO leasehold; COMMENT ON SCHEMA leasehold IS 'leasehold history 3'; "
      "REVOKE ALL ON SCHEMA leasehold FROM tenant_older_identity_ro; "
      "REVOKE ALL ON leasehold.migrations FROM tenant_older_identity_ro",
      name);
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(PassAndWork(), 0);
  EXPECT_THAT(Findings("older"), IsEmpty()) << "that is nobody's doing";
  EXPECT_EQ(Super("SELECT to_regclass('leasehold.keeper') IS NULL AND octet_length(secret) > 0 "
                  "AND to_regprocedure('leasehold.record_applied(int, text, text, text, text)') IS NOT NULL "
                  "FROM leasehold.history_secret",
                  name),
            "t");
  EXPECT_EQ(AsReader("older", "SELECT name FROM leasehold.migrations"), "0001_note.sql");
  EXPECT_EQ(AsReader("older", "SELECT secret FROM leasehold.history_secret"), "error: 42501");
  Super("REVOKE SELECT ON leasehold.migrations FROM tenant_older_identity_ro", name);
  clock_.Advance(absl::Hours(1));
  ExpectRepaired("older", {"GRANT_REDUCED tenant_older_identity: table leasehold.migrations REPAIRED"});
}

TEST_F(DriftTest, WhatCannotBePutRightInsideStaysReported) {
  Make("stuck");
  Super("ALTER SCHEMA public OWNER TO postgres", Name("stuck"));
  Super("GRANT USAGE ON SCHEMA public TO PUBLIC", Name("stuck"));
  clock_.Advance(absl::Hours(1));
  ExpectReported("stuck", {"GRANT_WIDENED tenant_stuck_identity: schema public REPORTED"});
  Super("REVOKE USAGE ON SCHEMA public FROM PUBLIC", Name("stuck"));
  clock_.Advance(absl::Hours(1));
  PassAndWork();
  EXPECT_THAT(Findings("stuck"), IsEmpty());
}

TEST_F(DriftTest, WhatARunLeftIsRemovedAndNothingElse) {
  Make("real");
  // As a process would leave them that stood still in the middle and went on when its tenant had been removed.
  for (const std::string& role : {Name("ghost"), Name("ghost") + "_ro"}) {
    AsLogin(
        std::format("CREATE ROLE {}; COMMENT ON ROLE {} IS 'leasehold:1:00000000000000aa'; GRANT {} TO CURRENT_USER",
                    role, role, role));
  }
  const std::string staging = StagingName(Get("real").database_id);
  AsLogin(std::format("CREATE DATABASE {} OWNER tenant_real_identity", staging));
  // Names alone are nobody's.
  AsLogin("CREATE DATABASE leasehold_new_feed");
  Super("CREATE DATABASE tenant_stranger_identity");
  Super("CREATE ROLE tenant_stranger_identity");
  PassAndWork();
  EXPECT_EQ(Super("SELECT count(*) FROM pg_roles WHERE starts_with(rolname, 'tenant_ghost_')"), "2")
      << "one look is not enough";
  PassAndWork();
  EXPECT_EQ(Super("SELECT count(*) FROM pg_roles WHERE starts_with(rolname, 'tenant_ghost_')"), "0");
  EXPECT_EQ(Super(std::format("SELECT count(*) FROM pg_database WHERE datname = '{}'", staging)), "0");
  PassAndWork();
  EXPECT_THAT(Findings("ghost"), IsEmpty());
  EXPECT_THAT(Findings("real"), IsEmpty());
  EXPECT_EQ(Findings("stranger"), (std::set<std::string>{"FOREIGN tenant_stranger_identity REPORTED"}));
  EXPECT_THAT(Findings(""), Contains("LEFTOVER leasehold_new_feed REPORTED"));
  EXPECT_EQ(
      Super("SELECT count(*) FROM pg_database WHERE datname IN ('leasehold_new_feed', 'tenant_stranger_identity')"),
      "2");
  EXPECT_EQ(Super("SELECT text FROM note", Name("real")), "kept");
  Super("DROP DATABASE leasehold_new_feed");
  Super("DROP DATABASE tenant_stranger_identity");
  Super("DROP ROLE tenant_stranger_identity");
}

TEST_F(DriftTest, ADatabaseThatTheRegistryForgotIsKept) {
  Make("forgotten");
  gateway_.Clear();
  PassAndWork();
  PassAndWork();
  EXPECT_EQ(Findings("forgotten"), (std::set<std::string>{"UNLISTED tenant_forgotten_identity REPORTED"}));
  gateway_.SetDown(true);
  PassAndWork();
  EXPECT_EQ(Super("SELECT text FROM note", Name("forgotten")), "kept");
}

TEST_F(DriftTest, ATenantInAnothersHandsIsLeftToIt) {
  Make("busy");
  postgres::ConnectOptions options = test_->instance().AsLogin("identity_central");
  options.application_name = "leasehold-provisioner/other";
  postgres::Connection other(options);
  {
    TenantLock lock(other, "busy");
    ASSERT_TRUE(*lock.TryTake());
    Super("GRANT CONNECT ON DATABASE tenant_busy_identity TO PUBLIC");
    EXPECT_EQ(PassAndWork(), 1);
    EXPECT_EQ(Super("SELECT has_database_privilege('alice', 'tenant_busy_identity', 'CONNECT')"), "t");
    EXPECT_EQ(Get("busy").state, v1::SERVICE_STATE_READY) << "that is no failure";
  }
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(reconciler_->WorkOne());
  EXPECT_EQ(Super("SELECT has_database_privilege('alice', 'tenant_busy_identity', 'CONNECT')"), "f");
}

TEST_F(DriftTest, WhatADeadProvisionerHadLearnedIsTakenOver) {
  ASSERT_EQ(*records_.Want(Id("orphan"), {.generation = 1, .state = v1::DESIRED_STATE_PRESENT}), true);
  ASSERT_EQ(*records_.Want(Id("doomed"), {.generation = 1, .state = v1::DESIRED_STATE_ABSENT}), true);
  ASSERT_EQ(reconciler_->TakeOver(), absl::OkStatus());
  EXPECT_FALSE(reconciler_->WorkOne()) << "it may be at it";
  clock_.Advance(absl::Seconds(3));
  ASSERT_EQ(reconciler_->TakeOver(), absl::OkStatus());
  EXPECT_TRUE(reconciler_->WorkOne());
  EXPECT_FALSE(reconciler_->WorkOne()) << "a removal waits for the registry's word";
  EXPECT_EQ(Get("orphan").state, v1::SERVICE_STATE_READY);
}

// Statements of a pass with nothing to do. Among them are those that look into one database.
int64_t StatementsOfAPass(Reconciler& reconciler, const std::function<std::string(std::string_view)>& ask) {
  ask("SELECT pg_stat_statements_reset()");
  EXPECT_EQ(reconciler.Pass(), absl::OkStatus());
  return std::stoll(
      ask("SELECT sum(calls) FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid "
          "WHERE r.rolname = 'leasehold'"));
}

TEST_F(DriftTest, APassCostsNoMoreQueriesForAThousandTenants) {
  Make("model");
  const auto ask = [](std::string_view sql) { return Super(sql); };
  clock_.Advance(absl::Hours(1));
  const int64_t few = StatementsOfAPass(*reconciler_, ask);
  // A thousand more, in the catalogs alone: what a pass reads.
  AsLogin(R"(DO $$ DECLARE name text; mark text; BEGIN FOR i IN 1..1000 LOOP
    mark := 'leasehold:1:' || lpad(to_hex(i), 16, '0');
    FOREACH name IN ARRAY ARRAY['tenant_n' || i || '_identity', 'tenant_n' || i || '_identity_ro'] LOOP
      EXECUTE format('CREATE ROLE %I LOGIN', name);
      EXECUTE format('COMMENT ON ROLE %I IS %L', name, mark);
      EXECUTE format('GRANT %I TO CURRENT_USER WITH INHERIT TRUE, SET TRUE', name);
    END LOOP; END LOOP; END $$)");
  ASSERT_EQ(
      Super("SET allow_system_table_mods = on;"
            "INSERT INTO pg_database SELECT 100000 + i, 'tenant_n' || i || '_identity', o.oid, encoding, "
            "datlocprovider, false, true, false, -1, datfrozenxid, datminmxid, dattablespace, datcollate, datctype, "
            "datlocale, daticurules, datcollversion, ARRAY[makeaclitem(o.oid, o.oid, 'CREATE,TEMPORARY,CONNECT', "
            "false), makeaclitem(r.oid, o.oid, 'CONNECT', false)] FROM generate_series(1, 1000) i "
            "JOIN pg_roles o ON o.rolname = 'tenant_n' || i || '_identity' "
            "JOIN pg_roles r ON r.rolname = 'tenant_n' || i || '_identity_ro' "
            "JOIN pg_database d ON d.datname = 'tenant_model_identity';"
            "INSERT INTO pg_shdescription SELECT 100000 + i, 'pg_database'::regclass, "
            "'leasehold:1:' || lpad(to_hex(i), 16, '0') FROM generate_series(1, 1000) i;"
            "ANALYZE pg_database; ANALYZE pg_authid; ANALYZE pg_auth_members; ANALYZE pg_shdescription;"
            "SELECT count(*) FROM pg_database WHERE datname LIKE 'tenant\\_n%\\_identity'"),
      "1000");
  ASSERT_EQ(
      Super("INSERT INTO leasehold.tenants (id, generation, desired, confirmed, desired_time, database_id, state, "
            "state_generation, schema_version, role_key, update_time, create_generation, database_generation) "
            "SELECT 'n' || i, 1, 'present', true, now(), lpad(to_hex(i), 16, '0'), 'ready', 1, 1, m.role_key, "
            "now(), 1, 1 FROM generate_series(1, 1000) i, leasehold.tenants m WHERE m.id = 'model';"
            "ANALYZE leasehold.tenants; SELECT count(*) FROM leasehold.tenants",
            "identity_central"),
      "1001");
  for (int i = 1; i <= 1000; ++i) {
    gateway_.Set(std::format("n{}", i), 1, v1::DESIRED_STATE_PRESENT, v1::SERVICE_STATE_READY, 1);
  }
  clock_.Advance(absl::Hours(1));
  const int64_t many = StatementsOfAPass(*reconciler_, ask);
  EXPECT_LE(many, few);
  EXPECT_FALSE(reconciler_->WorkOne()) << "all is as it should be";
  for (const v1::Finding& finding : gateway_.findings()) {
    EXPECT_NE(finding.tenant().front(), 'n') << finding.ShortDebugString();
  }
  RecordProperty("postgres_ms", Super("SELECT round(sum(total_exec_time)) FROM pg_stat_statements s "
                                      "JOIN pg_roles r ON r.oid = s.userid WHERE r.rolname = 'leasehold'"));
  Super("SET allow_system_table_mods = on; DELETE FROM pg_database WHERE oid BETWEEN 100001 AND 101000");
}

}  // namespace
}  // namespace leasehold::provisioner
