// PostgreSQL keeps tenants apart by itself: what somebody can do who has a tenant's own roles, by a lease and by a
// direct log-in past the gateway, and what the provisioner's login can do (docs/security.md, "Instances").
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/secret/secret.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

constexpr char kDenied[] = "42501";

// What no tenant's role may do, whatever its database holds. `{other}`: another tenant's owner role, and database.
struct Attempt {
  std::string sql;
  std::string sqlstate = kDenied;
};

std::vector<Attempt> Attempts(const std::string& name) {
  const std::string other = absl::StrCat("\"", name, "\"");
  std::vector<Attempt> attempts = {
      // Becoming somebody else.
      {"SET ROLE leasehold"},
      {"SET ROLE postgres"},
      {"SET ROLE alpha_central", "22023|42501"},
      {absl::StrCat("SET ROLE ", other)},
      {absl::StrCat("SET ROLE \"", name, "_ro\"")},
      {"SET ROLE pg_read_all_data"},
      {"SET SESSION AUTHORIZATION postgres"},
      {absl::StrCat("SET SESSION AUTHORIZATION ", other)},
      {absl::StrCat("GRANT ", other, " TO CURRENT_USER")},
      {"GRANT pg_read_server_files TO CURRENT_USER"},
      {"ALTER ROLE CURRENT_USER SUPERUSER"},
      {"ALTER ROLE CURRENT_USER CREATEROLE"},
      {"ALTER ROLE CURRENT_USER BYPASSRLS"},
      {"ALTER ROLE leasehold PASSWORD 'x'"},
      {"ALTER ROLE leasehold SET search_path = public"},
      {"ALTER ROLE ALL SET search_path = public"},
      {absl::StrCat("ALTER ROLE ", other, " PASSWORD 'x'")},
      {"CREATE ROLE intruder"},
      {"CREATE DATABASE intruder"},
      {absl::StrCat("DROP DATABASE ", other)},
      {absl::StrCat("ALTER DATABASE ", other, " SET search_path = public")},
      {absl::StrCat("ALTER DATABASE ", other, " OWNER TO CURRENT_USER")},
      {absl::StrCat("GRANT CONNECT ON DATABASE ", other, " TO CURRENT_USER")},
      {absl::StrCat("COMMENT ON DATABASE ", other, " IS 'x'")},
      // Running programs, reading and writing the server's files, its settings.
      {"COPY (SELECT 1) TO PROGRAM 'true'"},
      {"CREATE TEMP TABLE t (line text); COPY t FROM PROGRAM 'id'"},
      {"CREATE TEMP TABLE t (line text); COPY t FROM '/etc/passwd'"},
      {"COPY (SELECT 1) TO '/tmp/leasehold-intruder'"},
      {"SELECT pg_read_file('/etc/passwd')"},
      {"SELECT pg_read_binary_file('/etc/passwd')"},
      {"SELECT pg_ls_dir('.')"},
      {"SELECT pg_stat_file('/etc/passwd')"},
      {"SELECT lo_import('/etc/passwd')"},
      {"SELECT lo_export(lo_from_bytea(0, 'x'), '/tmp/leasehold-intruder')"},
      {"SELECT pg_hba_file_rules()"},
      {"SELECT pg_show_all_file_settings()"},
      {"ALTER SYSTEM SET log_statement = 'all'"},
      {"SELECT pg_reload_conf()"},
      {"SET session_replication_role = replica"},
      {"SET log_statement = 'none'"},
      {"SET session_preload_libraries = 'dblink'"},
      {"LOAD 'dblink'"},
      {"CREATE FUNCTION system(cstring) RETURNS int LANGUAGE c AS '/lib/x86_64-linux-gnu/libc.so.6', 'system'"},
      {"CREATE FUNCTION mine(text) RETURNS text LANGUAGE internal AS 'pg_read_file_all'"},
      {"CREATE TABLESPACE intruder LOCATION '/tmp'"},
      // Other databases, by extensions and by what is built in.
      {"CREATE EXTENSION dblink"},
      {"CREATE EXTENSION postgres_fdw"},
      {"CREATE EXTENSION file_fdw"},
      {"CREATE FOREIGN DATA WRAPPER intruder"},
      {"CREATE SUBSCRIPTION intruder CONNECTION 'dbname=postgres' PUBLICATION p WITH (connect = false)"},
      {"SELECT pg_create_logical_replication_slot('intruder', 'pgoutput')"},
      {"CREATE PUBLICATION intruder FOR ALL TABLES"},
      {absl::StrCat("SELECT * FROM ", other, ".public.notes"), "0A000"},
      // What the catalogs hold of secrets, and of others.
      {"SELECT rolpassword FROM pg_authid"},
      {"SELECT passwd FROM pg_shadow"},
      {"SELECT * FROM pg_largeobject"},
      {"SELECT * FROM pg_statistic"},
      {"SELECT umoptions FROM pg_user_mapping"},
      {"SELECT subconninfo FROM pg_subscription"},
      {"CREATE EVENT TRIGGER intruder ON ddl_command_start EXECUTE FUNCTION suppress_redundant_updates_trigger()"},
      {"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'leasehold'"},
      {absl::StrCat("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = '", name, "'")},
  };
  return attempts;
}

std::string StateOf(const std::function<void()>& work) {
  try {
    work();
    return "";
  } catch (const pqxx::insufficient_privilege&) {
    return kDenied;  // libpqxx 7.10 forgets the SQLSTATE of this one
  } catch (const pqxx::sql_error& error) {
    return error.sqlstate();
  }
}

std::string Try(pqxx::connection& sql, const std::string& statements) {
  return StateOf([&] {
    pqxx::nontransaction work(sql);
    work.exec(statements);
  });
}

std::string TryToWrite(pqxx::connection& sql, const std::string& statements) {
  return StateOf([&] {
    pqxx::work work(sql);
    work.exec("SET TRANSACTION READ WRITE");
    work.exec(statements);
  });
}

// Two tenants, and what is needed to log in as their roles past the gateway.
class Separation : public ::testing::Test {
 protected:
  void SetUp() override {
    mine_ = stack_.CreateTenant(FreshTenantId());
    other_ = stack_.CreateTenant(FreshTenantId());
    theirs_.emplace(RoleDsn(other_, RoleKind::kOwner, DatabaseOf(other_)));
  }

  std::string DatabaseOf(const std::string& tenant) { return absl::StrCat("tenant_", tenant, "_alpha"); }

  std::string SecretOf(const std::string& name) {
    std::ifstream file(absl::StrCat(stack_.state_dir(), "/secrets/", name));
    EXPECT_TRUE(file.is_open()) << name;
    return std::string(absl::StripSuffix(std::string(std::istreambuf_iterator<char>(file), {}), "\n"));
  }

  // As a role of a tenant, with the password that gateways derive.
  std::string RoleDsn(const std::string& tenant, RoleKind kind, const std::string& database) {
    const std::string id = stack_.OnInstance(
        "alpha",
        absl::StrCat("SELECT regexp_replace(shobj_description(oid, 'pg_database'), '^.*:', '') FROM pg_database"
                     " WHERE datname = '",
                     DatabaseOf(tenant), "'"));
    const Secret password = RoleKey::Parse(SecretOf("role-key-alpha")).value().PasswordOf(id, kind);
    return Dsn(absl::StrCat(DatabaseOf(tenant), kind == RoleKind::kOwner ? "" : "_ro"), password.reveal(), database);
  }

  std::string Dsn(const std::string& user, std::string_view password, const std::string& database) {
    const std::string port = stack_.OnInstance("alpha", "SHOW port");
    return absl::StrCat("host=127.0.0.1 port=", port, " user=", user, " password=", std::string(password),
                        " dbname=", database, " connect_timeout=20");
  }

  Stack& stack_ = SharedStack();
  std::string mine_;
  std::string other_;
  std::optional<pqxx::connection> theirs_;  // somebody is at work in the other one's
};

// So that a refusal means what it says: the role is the right one, and others of its statements work.
TEST_F(Separation, TheRolesCanDoWhatTheyAreFor) {
  pqxx::connection direct(RoleDsn(mine_, RoleKind::kOwner, DatabaseOf(mine_)));
  EXPECT_EQ(Try(direct, "CREATE TABLE own (n int); INSERT INTO own VALUES (1); CREATE TEMP TABLE t (n int)"), "");
  pqxx::connection reader(RoleDsn(mine_, RoleKind::kReadOnly, DatabaseOf(mine_)));
  EXPECT_EQ(*Value(reader, "SELECT count(*) >= 0 FROM notes"), "t");
}

TEST_F(Separation, OtherDatabasesAreClosed) {
  for (const RoleKind kind : {RoleKind::kOwner, RoleKind::kReadOnly}) {
    for (const std::string& database : {DatabaseOf(other_), std::string("alpha_central")}) {
      const std::string dsn = RoleDsn(mine_, kind, database);
      std::string refusal;
      try {
        pqxx::connection never(dsn);
      } catch (const pqxx::broken_connection& why) {
        refusal = why.what();
      }
      EXPECT_THAT(refusal, ::testing::HasSubstr("permission denied for database")) << database;
    }
  }
}

TEST_F(Separation, NothingOfALeaseReachesFurtherThanItsDatabase) {
  pqxx::connection lease(stack_.Acquire(mine_, "alpha").credentials().dsn());
  for (const Attempt& attempt : Attempts(DatabaseOf(other_))) {
    EXPECT_THAT(attempt.sqlstate, ::testing::HasSubstr(Try(lease, attempt.sql))) << attempt.sql;
    EXPECT_NE(Try(lease, attempt.sql), "") << attempt.sql;
  }
  EXPECT_EQ(*Value(lease, "SELECT current_database()"), DatabaseOf(mine_));
}

TEST_F(Separation, NorDoesADirectLogIn) {
  for (const RoleKind kind : {RoleKind::kOwner, RoleKind::kReadOnly}) {
    pqxx::connection direct(RoleDsn(mine_, kind, DatabaseOf(mine_)));
    for (const Attempt& attempt : Attempts(DatabaseOf(other_))) {
      const std::string sqlstate = Try(direct, attempt.sql);
      EXPECT_NE(sqlstate, "") << attempt.sql;
      // What reads only is refused some of these for that, before PostgreSQL looks at privileges.
      const std::string allowed =
          kind == RoleKind::kOwner ? attempt.sqlstate : absl::StrCat(attempt.sqlstate, "|25006");
      EXPECT_THAT(allowed, ::testing::HasSubstr(sqlstate)) << attempt.sql;
    }
  }
  // PostgreSQL lets everybody into its own databases; there is nothing to be had or left there.
  for (const char* database : {"postgres", "template1"}) {
    pqxx::connection direct(RoleDsn(mine_, RoleKind::kOwner, database));
    EXPECT_EQ(Try(direct, "CREATE TABLE public.trap (n int)"), kDenied);
    EXPECT_EQ(Try(direct, "CREATE SCHEMA trap"), kDenied);
    EXPECT_EQ(Try(direct, "SELECT rolpassword FROM pg_authid"), kDenied);
    EXPECT_EQ(Try(direct, absl::StrCat("ALTER DATABASE ", database, " SET search_path = public")), kDenied);
  }
}

TEST_F(Separation, OthersStatementsAreNotToBeSeen) {
  pqxx::nontransaction open(*theirs_);
  open.exec("SELECT 'told in confidence'");
  const std::string theirs_is = absl::StrCat("pid = ", theirs_->backendpid());
  for (const std::string& dsn :
       {stack_.Acquire(mine_, "alpha").credentials().dsn(), RoleDsn(mine_, RoleKind::kOwner, DatabaseOf(mine_)),
        RoleDsn(mine_, RoleKind::kReadOnly, DatabaseOf(mine_))}) {
    pqxx::connection mine(dsn);
    pqxx::nontransaction work(mine);
    const pqxx::result seen = work.exec(
        absl::StrCat("SELECT count(*) FILTER (WHERE query LIKE '%told in ' || 'confidence%'), count(*) FILTER (WHERE ",
                     theirs_is, "), string_agg(DISTINCT query, '|') FILTER (WHERE ", theirs_is,
                     "), count(client_addr) FILTER (WHERE ", theirs_is, ") FROM pg_stat_activity"));
    EXPECT_EQ(seen[0][0].as<int>(), 0);
    EXPECT_EQ(seen[0][1].as<int>(), 1);  // that there is somebody is no secret
    EXPECT_EQ(seen[0][2].as<std::string>(), "<insufficient privilege>");
    EXPECT_EQ(seen[0][3].as<int>(), 0);
  }
}

TEST_F(Separation, LargeObjectsAreTheOwners) {
  pqxx::connection owner(stack_.Acquire(mine_, "alpha").credentials().dsn());
  const std::string id = *Value(owner, "SELECT lo_from_bytea(0, 'private')");
  pqxx::connection reader(RoleDsn(mine_, RoleKind::kReadOnly, DatabaseOf(mine_)));
  EXPECT_EQ(Value(reader, absl::StrCat("SELECT lo_get(", id, ")")).status().message(), kDenied);
  EXPECT_EQ(TryToWrite(reader, absl::StrCat("SELECT lo_unlink(", id, ")")), kDenied);
  pqxx::connection others(stack_.Acquire(other_, "alpha").credentials().dsn());
  EXPECT_EQ(Value(others, absl::StrCat("SELECT lo_get(", id, ")")).status().message(), "42704");
  EXPECT_EQ(*Value(owner, absl::StrCat("SELECT convert_from(lo_get(", id, "), 'UTF8')")), "private");
}

TEST_F(Separation, WhoReadsOnlyLeavesNothing) {
  pqxx::connection reader(RoleDsn(mine_, RoleKind::kReadOnly, DatabaseOf(mine_)));
  for (const char* sql :
       {"INSERT INTO notes (body) VALUES ('x')", "CREATE TABLE public.trap (n int)", "CREATE SCHEMA trap",
        "CREATE TEMP TABLE trap (n int)", "CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql AS 'SELECT $1'",
        "TRUNCATE notes", "DROP TABLE notes", "LOCK TABLE notes IN EXCLUSIVE MODE"}) {
    EXPECT_EQ(TryToWrite(reader, sql), kDenied) << sql;
  }
}

// A session's temporary tables are looked at before all schemas. What one has made does not stay in the server that the
// next session of the tenant gets, and cannot be reached from another one.
TEST_F(Separation, TemporaryTablesEndWithTheirSession) {
  {
    pqxx::connection first(stack_.Acquire(mine_, "alpha").credentials().dsn());
    ASSERT_TRUE(Value(first, "CREATE TEMP TABLE notes (body text)").ok());
    ASSERT_TRUE(Value(first, "INSERT INTO pg_temp.notes VALUES ('forged')").ok());
    pqxx::connection second(stack_.Acquire(mine_, "alpha").credentials().dsn());
    EXPECT_EQ(*Value(second, "SELECT count(*) FROM notes"), "0");
  }
  for (int i = 0; i < 5; ++i) {
    pqxx::connection next(stack_.Acquire(mine_, "alpha").credentials().dsn());
    EXPECT_EQ(*Value(next, "SELECT count(*) FROM notes"), "0");
  }
}

// Functions in public that stand for PostgreSQL's own, with the database set to look there first: they would run with
// the provisioner's rights if its sessions looked at them.
TEST_F(Separation, FunctionsInPublicAreNotTheProvisioners) {
  pqxx::connection owner(stack_.Acquire(mine_, "alpha").credentials().dsn());
  ASSERT_EQ(
      StateOf([&] {
        pqxx::nontransaction work(owner);
        work.exec("CREATE TABLE public.captured (session name, current name, what text)");
        work.exec("GRANT ALL ON public.captured TO PUBLIC");
        work.exec(R"sql(
DO $$
DECLARE f record;
BEGIN
  FOR f IN SELECT p.proname, pg_get_function_identity_arguments(p.oid) AS args, pg_get_function_result(p.oid) AS result
             FROM pg_proc p JOIN pg_type t ON t.oid = p.prorettype
            WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset
              AND t.typtype = 'b' AND p.provariadic = 0 AND t.typname <> 'trigger'
              AND p.proname IN ('quote_ident', 'quote_literal', 'format_type', 'has_schema_privilege', 'has_table_privilege',
                                'pg_has_role', 'shobj_description', 'obj_description', 'to_regclass', 'lower', 'coalesce',
                                'has_database_privilege', 'pg_get_userbyid', 'array_to_string', 'starts_with', 'substr')
              AND pg_get_function_identity_arguments(p.oid) !~ 'OUT|internal|any'
  LOOP
    BEGIN
      EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN
        INSERT INTO public.captured VALUES (session_user, current_user, %L); RETURN NULL; END $f$',
        f.proname, f.args, f.result, f.proname);
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
  END LOOP;
END $$)sql");
        work.exec(absl::StrCat("ALTER DATABASE \"", DatabaseOf(mine_), "\" SET search_path = public, pg_catalog"));
      }),
      "");
  ASSERT_GE(std::stoi(*Value(owner, "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace")), 8);
  // The trap works: whoever looks in public first is caught.
  pqxx::connection caught(RoleDsn(mine_, RoleKind::kOwner, DatabaseOf(mine_)));
  Value(caught, "SELECT lower('X'::text)").IgnoreError();
  EXPECT_EQ(*Value(owner, "SELECT count(*) FROM public.captured WHERE what = 'lower'"), "1");

  // All that brings the provisioner into the database: opening it again, a pass that inspects it, and a new retry.
  v1::TenantChange change;
  v1::SuspendTenantRequest suspend;
  suspend.set_id(mine_);
  ASSERT_TRUE(stack_.tenants().SuspendTenant(Deadline().get(), suspend, &change).ok());
  ASSERT_TRUE(stack_.AwaitState(mine_, v1::TENANT_STATE_SUSPENDED));
  v1::ResumeTenantRequest resume;
  resume.set_id(mine_);
  ASSERT_TRUE(stack_.tenants().ResumeTenant(Deadline().get(), resume, &change).ok());
  ASSERT_TRUE(stack_.AwaitState(mine_, v1::TENANT_STATE_ACTIVE));
  stack_.KillAndAwait("provisioner/alpha");  // its start makes a pass
  EXPECT_TRUE(stack_.AwaitState(mine_, v1::TENANT_STATE_ACTIVE));
  EXPECT_EQ(
      stack_.OnInstance("alpha", "SELECT count(*) FROM public.captured WHERE session <> '" + DatabaseOf(mine_) + "'",
                        DatabaseOf(mine_)),
      "0");
}

TEST_F(Separation, TheProvisionersLoginIsNoSuperuser) {
  pqxx::connection login(Dsn("leasehold", SecretOf("login-alpha"), "alpha_central"));
  EXPECT_EQ(*Value(login,
                   "SELECT concat_ws(' ', rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls)"
                   " FROM pg_roles WHERE rolname = current_user"),
            "f t t f f");
  // None of PostgreSQL's own roles, but for that which every database's owner is a member of, while in it.
  EXPECT_EQ(*Value(login,
                   "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'pg\\_%' AND rolname <> 'pg_database_owner'"
                   " AND pg_has_role(current_user, oid, 'MEMBER')"),
            "0");
  for (const char* sql :
       {"SET ROLE postgres", "SET SESSION AUTHORIZATION postgres", "SELECT rolpassword FROM pg_authid",
        "SELECT pg_read_file('/etc/passwd')", "COPY (SELECT 1) TO PROGRAM 'true'", "COPY (SELECT 1) TO '/tmp/intruder'",
        "CREATE EXTENSION dblink", "ALTER SYSTEM SET log_statement = 'all'", "ALTER ROLE postgres PASSWORD 'x'",
        "ALTER ROLE CURRENT_USER SUPERUSER", "CREATE ROLE intruder SUPERUSER", "CREATE ROLE intruder REPLICATION",
        "CREATE ROLE intruder BYPASSRLS", "CREATE ROLE intruder IN ROLE pg_read_all_data",
        "GRANT pg_monitor TO CURRENT_USER", "DROP DATABASE postgres",
        "ALTER DATABASE postgres SET search_path = public", "SELECT lo_import('/etc/passwd')"}) {
    EXPECT_EQ(Try(login, sql), kDenied) << sql;
  }
  // A role and a database that it did not make are not its to touch.
  stack_.OnInstance("alpha", "CREATE ROLE somebody_elses LOGIN; SELECT 1");
  for (const char* sql : {"ALTER ROLE somebody_elses PASSWORD 'x'", "DROP ROLE somebody_elses",
                          "SET ROLE somebody_elses", "GRANT somebody_elses TO CURRENT_USER"}) {
    EXPECT_EQ(Try(login, sql), kDenied) << sql;
  }
  stack_.OnInstance("alpha", "DROP ROLE somebody_elses; SELECT 1");
}

}  // namespace
}  // namespace leasehold::testing
