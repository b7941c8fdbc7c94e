#include <gmock/gmock.h>

#include <gtest/gtest.h>
#include <format>
#include <fstream>
#include <sstream>
#include <thread>

#include "absl/time/clock.h"
#include "common/localserver/localserver.h"
#include "common/status/error.h"
#include "services/provisioner/steps/tenant_database.h"
#include "services/provisioner/testing/instance_suite.h"

namespace leasehold::provisioner {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

absl::Status GoOn() { return absl::OkStatus(); }

constexpr std::string_view kFirst =
    "CREATE TABLE person (id int PRIMARY KEY, name text);\nINSERT INTO person VALUES (1, 'Ada');\n";

class StepsTest : public InstanceSuite {
 protected:
  void SetUp() override {
    auto migrations = MigrationsOf({{"0001_person.sql", kFirst}});
    ASSERT_TRUE(migrations.ok()) << migrations.status();
    migrations_ = *std::move(migrations);
  }

  static std::string DatabaseId(std::string_view tenant) {
    return std::format("{:016x}", std::hash<std::string_view>()(tenant));
  }
  static std::string Database(std::string_view tenant) { return std::format("tenant_{}_identity", tenant); }

  // A run as a fresh process would make it: its own connection, nothing remembered.
  absl::Status Run(std::string_view tenant, std::span<const TenantDatabase::Step> steps,
                   std::optional<int> schema_version = std::nullopt) {
    postgres::Connection central = test_->Login();
    TenantDatabase database(
        test_->instance(), migrations_, central,
        {.tenant = *TenantId::Parse(tenant), .database_id = DatabaseId(tenant), .schema_version = schema_version});
    return database.Run(steps, GoOn);
  }

  postgres::Connection As(std::string_view tenant, RoleKind kind, std::string_view database = "") {
    const std::string role = std::format("{}{}", Database(tenant), kind == RoleKind::kOwner ? "" : "_ro");
    return postgres::Connection(
        test_->instance().AsRole(database.empty() ? Database(tenant) : database, role, DatabaseId(tenant), kind));
  }

  static std::string Databases(std::string_view tenant) {
    return test_->Ask("postgres", std::format("SELECT count(*) FROM pg_database WHERE datname IN ('{}', '{}')",
                                              Database(tenant), StagingName(DatabaseId(tenant))));
  }
  static std::string Roles(std::string_view tenant) {
    return test_->Ask("postgres",
                      std::format("SELECT count(*) FROM pg_roles WHERE starts_with(rolname, '{}')", Database(tenant)));
  }
  static std::string Mark(std::string_view database) {
    return test_->Ask(
        "postgres",
        std::format("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{}'", database));
  }

  void ExpectReady(std::string_view tenant) {
    EXPECT_EQ(Mark(Database(tenant)), MarkOf(DatabaseId(tenant))) << tenant;
    EXPECT_EQ(Databases(tenant), "1") << tenant;
    postgres::Connection owner = As(tenant, RoleKind::kOwner);
    EXPECT_EQ(AskOver(owner, "SELECT name FROM person"), "Ada") << tenant;
    EXPECT_EQ(AskOver(owner, "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'person'"),
              Database(tenant));
    postgres::Connection reader = As(tenant, RoleKind::kReadOnly);
    EXPECT_EQ(AskOver(reader, "SELECT name FROM person"), "Ada") << tenant;
    postgres::Connection central = test_->Login();
    const auto observed = Observe(central, test_->instance().service(), *TenantId::Parse(tenant));
    ASSERT_TRUE(observed.ok()) << observed.status();
    EXPECT_FALSE(observed->database->open_to_public) << tenant;
  }

  Migrations migrations_;
};

TEST_F(StepsTest, TwiceIsOnce) {
  ASSERT_EQ(Run("twice", TenantDatabase::Present()), absl::OkStatus());
  ExpectReady("twice");
  ASSERT_EQ(Run("twice", TenantDatabase::Present()), absl::OkStatus());
  ASSERT_EQ(Run("twice", TenantDatabase::Present(), 1), absl::OkStatus());
  ExpectReady("twice");
}

TEST_F(StepsTest, TheLoginIsNoSuperuser) {
  postgres::Connection login = test_->Login();
  EXPECT_EQ(AskOver(login,
                    "SELECT rolsuper::text || rolcreatedb::text || rolcreaterole::text FROM pg_roles "
                    "WHERE rolname = current_user"),
            "falsetruetrue");
}

TEST_F(StepsTest, APasswordNeverReachesPostgreSQL) {
  ASSERT_EQ(Run("secret", TenantDatabase::Present()), absl::OkStatus());
  EXPECT_THAT(test_->Ask("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'tenant_secret_identity'"),
              ::testing::StartsWith("SCRAM-SHA-256$1:"));
}

TEST_F(StepsTest, ARunCutShortAnywhereIsTakenUpAgain) {
  const auto steps = TenantDatabase::Present();
  for (size_t done = 0; done <= steps.size(); ++done) {
    const std::string tenant = std::format("cut-{}", done);
    ASSERT_EQ(Run(tenant, steps.first(done)), absl::OkStatus()) << done;
    ASSERT_EQ(Run(tenant, steps), absl::OkStatus()) << done;
    ExpectReady(tenant);
  }
}

TEST_F(StepsTest, ACutRunOfAClosedTenantIsTakenUpAgain) {
  const auto steps = TenantDatabase::Closed();
  for (size_t done = 0; done <= steps.size(); ++done) {
    const std::string tenant = std::format("shut-{}", done);
    ASSERT_EQ(Run(tenant, steps.first(done)), absl::OkStatus()) << done;
    ASSERT_EQ(Run(tenant, steps), absl::OkStatus()) << done;
    EXPECT_FALSE(As(tenant, RoleKind::kOwner).Connect().ok()) << done;
    ASSERT_EQ(Run(tenant, TenantDatabase::Present()), absl::OkStatus()) << done;
    ExpectReady(tenant);
  }
}

TEST_F(StepsTest, ARemovalCutShortAnywhereIsTakenUpAgain) {
  const auto steps = TenantDatabase::Absent();
  for (size_t done = 0; done <= steps.size(); ++done) {
    const std::string tenant = std::format("gone-{}", done);
    ASSERT_EQ(Run(tenant, TenantDatabase::Present()), absl::OkStatus());
    ASSERT_EQ(Run(tenant, steps.first(done)), absl::OkStatus()) << done;
    ASSERT_EQ(Run(tenant, steps), absl::OkStatus()) << done;
    EXPECT_EQ(Databases(tenant), "0");
    EXPECT_EQ(Roles(tenant), "0");
  }
}

TEST_F(StepsTest, AHalfBuiltDatabaseIsRemovedToo) {
  const auto steps = TenantDatabase::Present();
  for (size_t done = 0; done < steps.size(); ++done) {
    const std::string tenant = std::format("half-{}", done);
    ASSERT_EQ(Run(tenant, steps.first(done)), absl::OkStatus()) << done;
    ASSERT_EQ(Run(tenant, TenantDatabase::Absent()), absl::OkStatus()) << done;
    EXPECT_EQ(Databases(tenant), "0") << done;
    EXPECT_EQ(Roles(tenant), "0") << done;
  }
}

TEST_F(StepsTest, AnInterruptedDropIsFinishedAndTheDatabaseMadeAgain) {
  ASSERT_EQ(Run("invalid", TenantDatabase::Present()), absl::OkStatus());
  // What a kill in the middle of DROP DATABASE leaves behind.
  test_->Ask("postgres", "UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'tenant_invalid_identity'");
  ASSERT_EQ(Run("invalid", TenantDatabase::Present(), 1), absl::OkStatus());
  ExpectReady("invalid");
}

TEST_F(StepsTest, ADropThatWasCutInTheMiddleIsFinished) {
  ASSERT_EQ(Run("middle", TenantDatabase::Present()), absl::OkStatus());
  ASSERT_EQ(
      test_->Ask("postgres",
                 "DO $$ BEGIN EXECUTE (SELECT format('ALTER DATABASE %I RENAME TO leasehold_drop_%s', datname, oid) "
                 "FROM pg_database WHERE datname = 'tenant_middle_identity'); END $$"),
      "");
  ASSERT_EQ(Run("middle", TenantDatabase::Absent()), absl::OkStatus());
  EXPECT_EQ(test_->Ask("postgres", "SELECT count(*) FROM pg_database WHERE starts_with(datname, 'leasehold_drop_')"),
            "0");
  EXPECT_EQ(Roles("middle"), "0");
}

// Between the look at whose a database is and its drop, the name goes to another one.
TEST_F(StepsTest, ADatabaseThatTakesTheNameInTheLastMomentIsNotDropped) {
  ASSERT_EQ(Run("swap", TenantDatabase::Present()), absl::OkStatus());
  ASSERT_EQ(test_->Ask("postgres", "CREATE DATABASE precious OWNER leasehold"), "");
  ASSERT_EQ(test_->Ask("precious", "CREATE TABLE precious AS SELECT 42 AS i"), "");
  postgres::Connection mover = test_->Superuser();
  std::thread removal;
  absl::Status removed;
  const absl::Status moved = mover.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(tx.Exec("ALTER DATABASE tenant_swap_identity RENAME TO swapped_away").status());
    LH_RETURN_IF_ERROR(tx.Exec("ALTER DATABASE precious RENAME TO tenant_swap_identity").status());
    // Not committed yet: the removal still sees its own database under the name, and waits for it.
    removal = std::thread([&] { removed = Run("swap", TenantDatabase::Absent()); });
    const absl::Time end = absl::Now() + absl::Seconds(20);
    while (test_->Ask("postgres",
                      "SELECT count(*) FROM pg_locks WHERE classid = 'pg_database'::regclass AND NOT granted") == "0") {
      if (absl::Now() > end) return absl::DeadlineExceededError("the removal did not get to the database");
      absl::SleepFor(absl::Milliseconds(5));
    }
    return absl::OkStatus();
  });
  removal.join();
  ASSERT_EQ(moved, absl::OkStatus());
  EXPECT_EQ(test_->Ask("tenant_swap_identity", "SELECT i FROM precious"), "42");
  EXPECT_EQ(ReasonOf(removed), v1::REASON_NAME_TAKEN) << removed;
  EXPECT_EQ(Run("swap", TenantDatabase::Closed()).code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(StepsTest, ALostConnectionEndsTheRun) {
  for (const auto& steps : {TenantDatabase::Present(), TenantDatabase::Absent()}) {
    for (size_t lost_before = 1; lost_before <= steps.size(); ++lost_before) {
      postgres::Connection central = test_->Login();
      TenantDatabase database(test_->instance(), migrations_, central,
                              {.tenant = *TenantId::Parse("lost"), .database_id = DatabaseId("lost")});
      size_t asked = 0;
      const absl::Status status = database.Run(steps, [&] {
        if (++asked != lost_before) return absl::OkStatus();
        const std::string pid =
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = "
            "'identity_central' AND usename = 'leasehold'";
        EXPECT_EQ(test_->Ask("postgres", pid), "t");
        return absl::OkStatus();
      });
      EXPECT_EQ(ReasonOf(status), v1::REASON_INSTANCE_UNAVAILABLE) << status << " at " << lost_before;
    }
    ASSERT_EQ(Run("lost", steps), absl::OkStatus());
  }
  EXPECT_EQ(Databases("lost"), "0");
}

TEST_F(StepsTest, ADatabaseStaysOursWhateverItsOwnerSaysAboutIt) {
  ASSERT_EQ(Run("comment", TenantDatabase::Present()), absl::OkStatus());
  for (const char* comment : {"NULL", "'mine'", "'leasehold:1:ffffffffffffffff'"}) {
    for (const auto& steps : {TenantDatabase::Present(), TenantDatabase::Closed()}) {
      ASSERT_EQ(Run("comment", TenantDatabase::Present(), 1), absl::OkStatus());
      postgres::Connection owner = As("comment", RoleKind::kOwner);
      ASSERT_EQ(AskOver(owner, std::format("COMMENT ON DATABASE tenant_comment_identity IS {}", comment)), "");
      EXPECT_EQ(AskOver(owner, "COMMENT ON ROLE tenant_comment_identity IS NULL"), "error: 42501");
      ASSERT_EQ(Run("comment", steps, 1), absl::OkStatus()) << comment;
      EXPECT_EQ(Mark(Database("comment")), MarkOf(DatabaseId("comment"))) << "put back";
    }
  }
  ASSERT_EQ(Run("comment", TenantDatabase::Present(), 1), absl::OkStatus());
  postgres::Connection owner = As("comment", RoleKind::kOwner);
  ASSERT_EQ(AskOver(owner, "COMMENT ON DATABASE tenant_comment_identity IS NULL"), "");
  ASSERT_EQ(Run("comment", TenantDatabase::Absent()), absl::OkStatus());
  EXPECT_EQ(Databases("comment"), "0");
  EXPECT_EQ(Roles("comment"), "0");
}

TEST_F(StepsTest, AForeignDatabaseIsNeverTouched) {
  ASSERT_EQ(test_->Ask("postgres", "CREATE DATABASE tenant_foreign_identity"), "");
  ASSERT_EQ(test_->Ask("tenant_foreign_identity", "CREATE TABLE precious AS SELECT 42 AS i"), "");
  const std::string before = test_->Ask("postgres",
                                        "SELECT datacl::text || datdba FROM pg_database WHERE datname = "
                                        "'tenant_foreign_identity'");
  for (const char* mark : {"", "leasehold:1:ffffffffffffffff"}) {
    test_->Ask("postgres", std::format("COMMENT ON DATABASE tenant_foreign_identity IS '{}'", mark));
    const absl::Status status = Run("foreign", TenantDatabase::Present());
    EXPECT_EQ(ReasonOf(status), v1::REASON_NAME_TAKEN) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("tenant_foreign_identity"));
    EXPECT_EQ(ReasonOf(Run("foreign", TenantDatabase::Closed())), v1::REASON_NAME_TAKEN);
    EXPECT_EQ(Run("foreign", TenantDatabase::Absent()), absl::OkStatus());
    EXPECT_EQ(test_->Ask("tenant_foreign_identity", "SELECT i FROM precious"), "42");
    EXPECT_EQ(test_->Ask("postgres",
                         "SELECT datacl::text || datdba FROM pg_database WHERE datname = "
                         "'tenant_foreign_identity'"),
              before);
  }
  EXPECT_EQ(Roles("foreign"), "0") << "what was made beside it is cleared away";
}

TEST_F(StepsTest, ANameTakenWhileBuildingIsFoundAtTheRename) {
  const auto steps = TenantDatabase::Present();
  ASSERT_EQ(Run("race", steps.first(steps.size() - 1)), absl::OkStatus());
  ASSERT_EQ(test_->Ask("postgres", "CREATE DATABASE tenant_race_identity"), "");
  EXPECT_EQ(ReasonOf(Run("race", steps)), v1::REASON_NAME_TAKEN);
  EXPECT_EQ(Mark("tenant_race_identity"), "");
  ASSERT_EQ(test_->Ask("postgres", "DROP DATABASE tenant_race_identity"), "");
  ASSERT_EQ(Run("race", steps), absl::OkStatus());
  ExpectReady("race");
}

TEST_F(StepsTest, AForeignRoleIsNeverTouched) {
  ASSERT_EQ(test_->Ask("postgres", "CREATE ROLE tenant_frole_identity LOGIN PASSWORD 'theirs'"), "");
  const std::string before =
      test_->Ask("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'tenant_frole_identity'");
  EXPECT_EQ(ReasonOf(Run("frole", TenantDatabase::Present())), v1::REASON_NAME_TAKEN);
  EXPECT_EQ(ReasonOf(Run("frole", TenantDatabase::Closed())), v1::REASON_NAME_TAKEN);
  EXPECT_EQ(Run("frole", TenantDatabase::Shut()), absl::OkStatus());
  EXPECT_EQ(Run("frole", TenantDatabase::Absent()), absl::OkStatus());
  EXPECT_EQ(test_->Ask("postgres",
                       "SELECT rolpassword FROM pg_authid WHERE rolname = 'tenant_frole_identity' AND rolcanlogin"),
            before);
  EXPECT_EQ(Databases("frole"), "0");
}

TEST_F(StepsTest, TenantsCannotReachEachOther) {
  ASSERT_EQ(Run("left", TenantDatabase::Present()), absl::OkStatus());
  ASSERT_EQ(Run("right", TenantDatabase::Present()), absl::OkStatus());
  for (const RoleKind kind : {RoleKind::kOwner, RoleKind::kReadOnly}) {
    EXPECT_TRUE(As("left", kind).Connect().ok());
    EXPECT_FALSE(As("left", kind, Database("right")).Connect().ok());
    EXPECT_FALSE(As("right", kind, Database("left")).Connect().ok());
    EXPECT_TRUE(As("right", kind).Connect().ok());
    postgres::Connection left = As("left", kind);
    EXPECT_EQ(AskOver(left, "SET ROLE tenant_right_identity"), "error: 42501");
  }
  ASSERT_EQ(test_->Ask("postgres", "CREATE ROLE stranger LOGIN PASSWORD 'x'"), "");
  postgres::Connection stranger(
      {.dsn = postgres::Dsn("127.0.0.1", test_->server().port(), Database("left"), "stranger", "disable"),
       .password = Secret("x")});
  EXPECT_FALSE(stranger.Connect().ok());
}

TEST_F(StepsTest, ReadOnlyReadsWhatComesLaterAndWritesNothing) {
  ASSERT_EQ(Run("reader", TenantDatabase::Present()), absl::OkStatus());
  postgres::Connection owner = As("reader", RoleKind::kOwner);
  ASSERT_EQ(AskOver(owner, "CREATE TABLE later AS SELECT 7 AS i"), "");
  ASSERT_EQ(AskOver(owner, "CREATE SCHEMA hr"), "");
  ASSERT_EQ(AskOver(owner, "CREATE TABLE hr.inside AS SELECT 8 AS i"), "");
  postgres::Connection reader = As("reader", RoleKind::kReadOnly);
  EXPECT_EQ(AskOver(reader, "SELECT i FROM later"), "7");
  EXPECT_EQ(AskOver(reader, "SELECT i FROM hr.inside"), "8");
  EXPECT_EQ(AskOver(reader, "SHOW default_transaction_read_only"), "off") << "the test's own connection option";
  EXPECT_EQ(
      test_->Ask("postgres",
                 "SELECT array_to_string(rolconfig, ',') FROM pg_roles WHERE rolname = 'tenant_reader_identity_ro'"),
      "default_transaction_read_only=on");
  for (const char* sql : {"INSERT INTO later VALUES (1)", "DELETE FROM person", "CREATE TABLE mine (i int)",
                          "CREATE TEMPORARY TABLE mine (i int)", "CREATE SCHEMA mine",
                          "DELETE FROM leasehold.migrations", "SELECT * FROM leasehold.history_secret"}) {
    EXPECT_EQ(AskOver(reader, sql), "error: 42501") << sql << ": refused by privileges, not by a setting";
  }
}

// It locks and copies every table, of whomever's.
TEST_F(StepsTest, EitherRoleMayDumpTheDatabase) {
  ASSERT_EQ(Run("dump", TenantDatabase::Present()), absl::OkStatus());
  const localserver::TemporaryDirectory folder;
  for (const RoleKind kind : {RoleKind::kOwner, RoleKind::kReadOnly}) {
    const postgres::ConnectOptions login = test_->instance().AsRole(
        Database("dump"), kind == RoleKind::kOwner ? Database("dump") : Database("dump") + "_ro", DatabaseId("dump"),
        kind);
    localserver::ChildProcess::Options options;
    options.argv = {"pg_dump", std::format("--dbname={}", login.dsn), "--file", folder.path() + "/dump.sql"};
    options.environment = {std::format("PGPASSWORD={}", login.password.reveal())};
    options.log_path = folder.path() + "/log";
    auto dumping = localserver::ChildProcess::Start(std::move(options));
    ASSERT_TRUE(dumping.ok()) << dumping.status();
    while ((*dumping)->Running()) absl::SleepFor(absl::Milliseconds(5));
    std::stringstream log, dump;
    log << std::ifstream(folder.path() + "/log").rdbuf();
    dump << std::ifstream(folder.path() + "/dump.sql").rdbuf();
    EXPECT_EQ((*dumping)->exit_status(), 0) << log.str();
    EXPECT_THAT(dump.str(), testing::HasSubstr("Ada"));
    const std::string secret =
        test_->Ask(Database("dump"), "SELECT encode(secret, 'hex') FROM leasehold.history_secret");
    EXPECT_GE(secret.size(), 32U);
    EXPECT_THAT(dump.str(), testing::Not(testing::HasSubstr(secret)));
  }
}

TEST_F(StepsTest, ClosingEndsSessionsAndOpeningKeepsData) {
  ASSERT_EQ(Run("close", TenantDatabase::Present()), absl::OkStatus());
  postgres::Connection owner = As("close", RoleKind::kOwner);
  postgres::Connection reader = As("close", RoleKind::kReadOnly);
  ASSERT_EQ(AskOver(owner, "INSERT INTO person VALUES (2, 'Grace') RETURNING id"), "2");
  ASSERT_EQ(AskOver(reader, "SELECT count(*) FROM person"), "2");
  ASSERT_EQ(Run("close", TenantDatabase::Closed()), absl::OkStatus());
  EXPECT_EQ(test_->Ask("postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = 'tenant_close_identity'"),
            "0");
  EXPECT_FALSE(As("close", RoleKind::kOwner).Connect().ok());
  EXPECT_FALSE(As("close", RoleKind::kReadOnly).Connect().ok());
  ASSERT_EQ(Run("close", TenantDatabase::Present(), 1), absl::OkStatus());
  postgres::Connection again = As("close", RoleKind::kOwner);
  EXPECT_EQ(AskOver(again, "SELECT count(*) FROM person"), "2");
}

TEST_F(StepsTest, RemovingWithSessionsOpen) {
  ASSERT_EQ(Run("remove", TenantDatabase::Present()), absl::OkStatus());
  postgres::Connection owner = As("remove", RoleKind::kOwner);
  ASSERT_EQ(AskOver(owner, "SELECT 1"), "1");
  ASSERT_EQ(Run("remove", TenantDatabase::Absent()), absl::OkStatus());
  EXPECT_EQ(Databases("remove"), "0");
  EXPECT_EQ(Roles("remove"), "0");
  EXPECT_EQ(Run("remove", TenantDatabase::Absent()), absl::OkStatus());
  EXPECT_EQ(Run("remove", TenantDatabase::Present()), absl::OkStatus());
  ExpectReady("remove");
}

TEST_F(StepsTest, AMigrationThatEndsItsSessionIsNamed) {
  migrations_ = *MigrationsOf({{"0001_ends.sql", "SELECT pg_terminate_backend(pg_backend_pid())"}});
  const absl::Status status = Run("ends", TenantDatabase::Present());
  EXPECT_EQ(ReasonOf(status), v1::REASON_INSTANCE_UNAVAILABLE) << "it may have been somebody else";
  EXPECT_THAT(std::string(status.message()), HasSubstr("migration 0001_ends.sql: its session was ended at line 1"));
}

TEST_F(StepsTest, AFailedMigrationLeavesTheEarlierOnesAndSaysWhich) {
  const auto bad = MigrationsOf(
      {{"0001_person.sql", kFirst}, {"0002_bad.sql", "CREATE TABLE fine (i int);\n\nSELECT *\n  FROM absent;"}});
  ASSERT_TRUE(bad.ok()) << bad.status();
  migrations_ = *bad;
  const absl::Status status = Run("badfile", TenantDatabase::Present());
  EXPECT_EQ(ReasonOf(status), v1::REASON_MIGRATION_FAILED) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("0002_bad.sql"), HasSubstr("line 4"), HasSubstr("statement 2"), HasSubstr("42P01"),
                    Not(HasSubstr("absent"))));
  const std::string staging = StagingName(DatabaseId("badfile"));
  EXPECT_EQ(
      test_->Ask(staging, "SELECT string_agg(name || ' ' || (applied_at IS NOT NULL), ',') FROM leasehold.migrations"),
      "0001_person.sql true");
  EXPECT_EQ(test_->Ask(staging, "SELECT to_regclass('public.fine')"), "") << "a file is all or nothing";
  EXPECT_EQ(Mark(Database("badfile")), "") << "not in place before it is whole";

  const auto mended = MigrationsOf({{"0001_person.sql", kFirst}, {"0002_bad.sql", "CREATE TABLE fine (i int);"}});
  ASSERT_TRUE(mended.ok());
  migrations_ = *mended;
  ASSERT_EQ(Run("badfile", TenantDatabase::Present()), absl::OkStatus());
  ExpectReady("badfile");
}

TEST_F(StepsTest, WhatWasNeverCompleteIsBegunAnewIfItsFilesHaveChanged) {
  const auto bad =
      MigrationsOf({{"0001_person.sql", "CREATE TABLE persn (i int);"}, {"0002_bad.sql", "SELECT absent;"}});
  const auto mended = MigrationsOf({{"0001_person.sql", kFirst}});
  migrations_ = *bad;
  ASSERT_EQ(ReasonOf(Run("anew", TenantDatabase::Present())), v1::REASON_MIGRATION_FAILED);
  ASSERT_EQ(Databases("anew"), "1") << "with the first file in it";
  migrations_ = *mended;
  EXPECT_EQ(ReasonOf(Run("anew", TenantDatabase::Present())), v1::REASON_SUPERSEDED);
  ASSERT_EQ(Run("anew", TenantDatabase::Present()), absl::OkStatus());
  ExpectReady("anew");
  // One that is in place is somebody's, whatever the files are.
  migrations_ = *bad;
  EXPECT_EQ(ReasonOf(Run("anew", TenantDatabase::Present())), v1::REASON_MIGRATION_FAILED);
  ExpectReady("anew");
}

TEST_F(StepsTest, NewMigrationsReachAnOldDatabase) {
  ASSERT_EQ(Run("newer", TenantDatabase::Present()), absl::OkStatus());
  const auto more = MigrationsOf({{"0001_person.sql", kFirst}, {"0002_more.sql", "ALTER TABLE person ADD born int;"}});
  ASSERT_TRUE(more.ok());
  migrations_ = *more;
  ASSERT_EQ(Run("newer", TenantDatabase::Present(), 1), absl::OkStatus());
  EXPECT_EQ(test_->Ask(Database("newer"), "SELECT max(version) FROM leasehold.migrations"), "2");
}

TEST_F(StepsTest, ATenantCannotWriteItsHistory) {
  ASSERT_EQ(Run("history", TenantDatabase::Present()), absl::OkStatus());
  postgres::Connection owner = As("history", RoleKind::kOwner);
  for (const char* sql : {"DELETE FROM leasehold.migrations", "DROP TABLE leasehold.migrations",
                          "CREATE TABLE leasehold.mine (i int)", "DROP SCHEMA leasehold CASCADE"}) {
    EXPECT_EQ(AskOver(owner, sql), "error: 42501") << sql;
  }
}

TEST_F(StepsTest, ATenantsTriggerGetsNoneOfTheProvisionersPrivileges) {
  ASSERT_EQ(Run("trap", TenantDatabase::Present()), absl::OkStatus());
  postgres::Connection owner = As("trap", RoleKind::kOwner);
  ASSERT_EQ(AskOver(owner, "CREATE TABLE caught (who text)"), "");
  ASSERT_EQ(AskOver(owner,
                    "CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                    "RESET ROLE; INSERT INTO caught VALUES (current_user || ' ' || session_user); "
                    "RETURN new; END $$"),
            "");
  ASSERT_EQ(AskOver(owner, "CREATE TRIGGER trap BEFORE UPDATE ON person FOR EACH ROW EXECUTE FUNCTION trap()"), "");
  // Also its settings must not reach the provisioner's own connection.
  ASSERT_EQ(AskOver(owner, "ALTER DATABASE tenant_trap_identity SET search_path = public, pg_catalog"), "");
  ASSERT_EQ(
      AskOver(owner,
              "CREATE FUNCTION public.to_regclass(text) RETURNS regclass LANGUAGE sql AS $$ SELECT NULL::regclass $$"),
      "");
  const auto more =
      MigrationsOf({{"0001_person.sql", kFirst}, {"0002_update.sql", "UPDATE person SET name = name || '!';"}});
  ASSERT_TRUE(more.ok());
  migrations_ = *more;
  ASSERT_EQ(Run("trap", TenantDatabase::Present(), 1), absl::OkStatus());
  EXPECT_EQ(AskOver(owner, "SELECT who FROM caught"), "tenant_trap_identity tenant_trap_identity");
}

TEST_F(StepsTest, AStopBetweenStepsEndsTheRun) {
  postgres::Connection central = test_->Login();
  TenantDatabase database(test_->instance(), migrations_, central,
                          {.tenant = *TenantId::Parse("stop"), .database_id = DatabaseId("stop")});
  int asked = 0;
  const absl::Status status = database.Run(TenantDatabase::Present(), [&] {
    return ++asked < 3 ? absl::OkStatus() : Error(v1::REASON_SHUTTING_DOWN, "stopping");
  });
  EXPECT_EQ(ReasonOf(status), v1::REASON_SHUTTING_DOWN);
  EXPECT_EQ(Mark(Database("stop")), "");
  EXPECT_EQ(Databases("stop"), "1");
}

}  // namespace
}  // namespace leasehold::provisioner
