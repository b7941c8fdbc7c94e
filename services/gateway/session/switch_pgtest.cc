// Moving a live session to another tenant, in every form, and the refusals.
#include <gmock/gmock.h>

#include <cstring>
#include <random>
#include <thread>

#include "services/gateway/session/testing_wire.h"

namespace leasehold::gateway::testing_stack {
namespace {

class SwitchTest : public EndpointTest {
 protected:
  static std::string Where(Client& client) { return client.One("select current_database()"); }
};

TEST_F(SwitchTest, SetResetAndShow) {
  Client client = Connect();
  EXPECT_EQ(client.One("show leasehold.tenant"), "acme");
  EXPECT_EQ(client.One("SET leasehold.tenant = 'globex'"), "SET");
  EXPECT_EQ(Where(client), "tenant_globex_identity");
  EXPECT_EQ(client.One("select current_setting('leasehold.tenant')"), "globex");
  EXPECT_EQ(client.One("select upper(current_setting('leasehold.tenant', true))"), "GLOBEX");
  EXPECT_EQ(client.One("set session leasehold.tenant to initech"), "SET");
  EXPECT_EQ(Where(client), "tenant_initech_identity");
  EXPECT_EQ(client.One("RESET leasehold.tenant"), "RESET");
  EXPECT_EQ(Where(client), "tenant_acme_identity");
  EXPECT_THAT(authority_.Whereabouts(), testing::ElementsAre("acme"));
  EXPECT_EQ(client.One("select set_config('leasehold.tenant', 'globex', false)"), "globex");
  EXPECT_EQ(Where(client), "tenant_globex_identity");
  EXPECT_EQ(client.One("SET leasehold.tenant TO DEFAULT"), "SET");
  EXPECT_EQ(Where(client), "tenant_acme_identity");
  EXPECT_EQ(client.One("set leasehold.tenant = 'globex'; select current_database()"), "tenant_globex_identity");
}

TEST_F(SwitchTest, BoundInTextAndBinary) {
  Client client = Connect();
  EXPECT_EQ(client.OneBound("select set_config('leasehold.tenant', $1, false)", {"globex"}), "globex");
  EXPECT_EQ(Where(client), "tenant_globex_identity");
  EXPECT_EQ(client.OneBound("select set_config('leasehold.tenant', $1, false) as t", {"initech"}, 1), "initech");
  EXPECT_EQ(Where(client), "tenant_initech_identity");
  EXPECT_EQ(client.OneBound("select set_config('leasehold.tenant', $1, $2)", {"acme", "f"}), "acme");
  EXPECT_EQ(client.OneBound("select set_config('leasehold.tenant', $1, $2)", {"globex", "true"}), "!0A000");
  EXPECT_EQ(client.OneBound("select set_config('leasehold.tenant', $1, false)", {}), "!08P01");
  EXPECT_EQ(client.OneBound("select set_config('leasehold.tenant', $1, false)", {nullptr}), "acme");
  EXPECT_EQ(client.OneBound("set leasehold.tenant = 'globex'", {}), "SET");
  EXPECT_EQ(Where(client), "tenant_globex_identity");
}

TEST_F(SwitchTest, ANameThatIsBound) {
  Client client = Connect();
  EXPECT_EQ(client.OneBound("select set_config($1, $2, false)", {"leasehold.tenant", "globex"}), "globex");
  EXPECT_EQ(Where(client), "tenant_globex_identity");
  EXPECT_EQ(client.OneBound("select set_config($1, $2, $3)", {"Leasehold.Tenant", "initech", "false"}), "initech");
  EXPECT_EQ(Where(client), "tenant_initech_identity");
  EXPECT_EQ(client.OneBound("select set_config($1, $2, false)", {"leasehold.tenant", "acme"}, 1), "acme");
  EXPECT_EQ(Where(client), "tenant_acme_identity");
  EXPECT_EQ(client.OneBound("select set_config($1, $2, $3)", {"leasehold.tenant", "globex", "true"}), "!0A000");
  EXPECT_EQ(client.OneBound("select set_config($1, $2, false)", {"leasehold.session", "x"}), "!55P02");
  EXPECT_EQ(client.OneBound("select set_config($1, $2, false)", {"leasehold.tennant", "x"}), "!42704");
  EXPECT_EQ(client.OneBound("select 1, set_config($1, $2, false)", {"leasehold.tenant", "globex"}), "!0A000");
  EXPECT_EQ(client.OneBound("select set_config($1, upper($2), false)", {"leasehold.tenant", "globex"}), "!0A000");
  EXPECT_EQ(Where(client), "tenant_acme_identity");
  EXPECT_EQ(client.OneBound("select set_config($1, $2, false)", {"app.x", "leasehold.tenant"}), "leasehold.tenant");
  EXPECT_EQ(client.OneBound("select set_config($1, $2, false)", {nullptr, "globex"}), "!22004");
  EXPECT_EQ(Where(client), "tenant_acme_identity");

  // One statement, PostgreSQL's and ours in turn.
  PQclear(PQprepare(client.get(), "set", "select set_config($1, $2, false)", 0, nullptr));
  for (int i = 0; i < 3; ++i) {
    for (const std::string tenant : {"globex", "acme"}) {
      const std::vector<const char*> move = {"leasehold.tenant", tenant.c_str()};
      const std::vector<const char*> set = {"app.x", "y"};
      for (const auto& values : {set, move, move}) {
        const Client::Result result(PQexecPrepared(client.get(), "set", 2, values.data(), nullptr, nullptr, 0),
                                    PQclear);
        EXPECT_EQ(Client::Show(result), values[1]);
      }
      EXPECT_EQ(Where(client), "tenant_" + tenant + "_identity");
      EXPECT_EQ(client.One("select current_setting('app.x')"), "y");
    }
  }
  client.One("begin");
  const std::vector<const char*> move = {"leasehold.tenant", "globex"};
  EXPECT_EQ(
      Client::Show(Client::Result(PQexecPrepared(client.get(), "set", 2, move.data(), nullptr, nullptr, 0), PQclear)),
      "!25001");
  client.One("rollback");
  EXPECT_EQ(Where(client), "tenant_acme_identity");
}

TEST_F(SwitchTest, AServerIsNotGivenBackInTheMiddleOfABatch) {
  Begin({.max_connections = 1});
  Client client = Connect();
  Wire wire(client);
  wire.Parse("where", "select current_database()")
      .Parse("move", "select set_config('leasehold.tenant', 'globex', false)");
  EXPECT_EQ(wire.Bind("move").Execute().Bind("where").Execute().Sync().Talk(),
            "1 1 2 D(globex) C(SELECT 1) 2 D(tenant_globex_identity) C(SELECT 1) Z(I)");
  Client other = Connect();
  EXPECT_EQ(other.One("select now() = statement_timestamp()"), "t") << "no transaction was left open";
}

TEST_F(SwitchTest, NamedStatementsOfOursSurviveTheSwitch) {
  Client client = Connect();
  const char* const sql = "select set_config('leasehold.tenant', $1, false)";
  ASSERT_EQ(PQresultStatus(Client::Result(PQprepare(client.get(), "move", sql, 0, nullptr), PQclear).get()),
            PGRES_COMMAND_OK);
  const Client::Result described(PQdescribePrepared(client.get(), "move"), PQclear);
  EXPECT_EQ(PQnparams(described.get()), 1);
  EXPECT_EQ(PQparamtype(described.get(), 0), 25u);
  EXPECT_STREQ(PQfname(described.get(), 0), "set_config");
  for (const char* tenant : {"globex", "acme", "initech"}) {
    const Client::Result moved(PQexecPrepared(client.get(), "move", 1, &tenant, nullptr, nullptr, 0), PQclear);
    EXPECT_EQ(Client::Show(moved), tenant);
    EXPECT_EQ(Where(client), std::string("tenant_") + tenant + "_identity");
  }
  EXPECT_EQ(client.OneBound("select $1::int", {"7"}), "7");  // the unnamed statement is PostgreSQL's again
}

TEST_F(SwitchTest, SoDoPostgresNamedStatements) {
  Client client = Connect();
  const auto run = [&client](const char* name) {
    return Client::Show(Client::Result(PQexecPrepared(client.get(), name, 0, nullptr, nullptr, nullptr, 0), PQclear));
  };
  PQclear(PQprepare(client.get(), "where", "select current_database()", 0, nullptr));
  EXPECT_EQ(client.One("prepare sql as select current_database() || '!'"), "PREPARE");
  EXPECT_EQ(run("where"), "tenant_acme_identity");
  client.One("set leasehold.tenant = 'globex'");
  EXPECT_EQ(run("where"), "tenant_globex_identity");
  EXPECT_EQ(client.One("execute sql"), "tenant_globex_identity!");
  client.One("set leasehold.tenant = 'initech'");
  EXPECT_EQ(client.One("execute sql"), "tenant_initech_identity!");
  EXPECT_EQ(client.One("deallocate sql"), "DEALLOCATE");
  EXPECT_EQ(client.One("execute sql"), "!26000");
  EXPECT_EQ(client.One("deallocate where"), "DEALLOCATE");
  EXPECT_EQ(run("where"), "!26000");
}

TEST_F(SwitchTest, SessionShowsAsOneRow) {
  Client client = Connect();
  const auto row = client.Exec("show leasehold.session");
  ASSERT_EQ(PQresultStatus(row.get()), PGRES_TUPLES_OK);
  ASSERT_EQ(PQnfields(row.get()), 6);
  EXPECT_STREQ(PQfname(row.get(), 0), "lease");
  const auto value = [&row](int column) { return std::string(PQgetvalue(row.get(), 0, column)); };
  EXPECT_EQ(value(0).size(), 26u);
  EXPECT_EQ(value(1), "acme");
  EXPECT_EQ(value(2), "identity");
  EXPECT_EQ(value(3), "tenant_acme_identity");
  EXPECT_EQ(value(4), "read-write");
  EXPECT_EQ(value(5), "2027-01-15T08:15:00+00:00");
  EXPECT_EQ(client.OneBound("show leasehold.session", {}).size(), 26u);
  const std::string json = client.OneBound("select current_setting('leasehold.session')", {});
  EXPECT_EQ(client.One("select j->>'tenant' || ' ' || (j->>'database') || ' ' || (j->>'expiry') from (select '" + json +
                       "'::json) s(j)"),
            "acme tenant_acme_identity 2027-01-15T08:15:00+00:00");
  EXPECT_EQ(client.One("select current_setting('leasehold.pinned')"), "");
}

TEST_F(SwitchTest, RefusedInsideATransaction) {
  Client client = Connect();
  client.One("create table if not exists kept(i int)");
  client.One("begin");
  client.One("insert into kept values (1)");
  EXPECT_EQ(client.One("show leasehold.tenant"), "acme");
  EXPECT_EQ(client.One("set leasehold.tenant = 'acme'"), "SET");  // which moves nothing
  EXPECT_EQ(client.One("set leasehold.tenant = 'globex'"), "!25001");
  // As after any error in a transaction.
  EXPECT_EQ(PQtransactionStatus(client.get()), PQTRANS_INERROR);
  EXPECT_EQ(client.One("show leasehold.tenant"), "!25P02");
  EXPECT_EQ(client.One("commit"), "ROLLBACK");
  EXPECT_EQ(client.One("select count(*) from kept"), "0");
  EXPECT_EQ(client.One("begin"), "BEGIN");
  EXPECT_EQ(client.OneBound("select set_config('leasehold.tenant', $1, false)", {"globex"}), "!25001");
  EXPECT_EQ(PQtransactionStatus(client.get()), PQTRANS_INERROR);
  EXPECT_EQ(client.One("rollback"), "ROLLBACK");
  EXPECT_EQ(client.One("insert into kept values (2); set leasehold.tenant = 'globex'"), "!25001");
  EXPECT_EQ(client.One("select count(*) from kept"), "0");
  EXPECT_EQ(Where(client), "tenant_acme_identity");
  client.One("drop table kept");
}

TEST_F(SwitchTest, RefusalsLeaveTheSessionWhereItIs) {
  const std::string password =
      authority_.Lease("lh1.narrow", {.home = "acme", .switch_to = {"s*", "frozen", "nobody"}});
  Client client(Dsn("lh1.narrow", password));
  EXPECT_EQ(client.One("set leasehold.tenant = 'globex'"), "!42501");
  EXPECT_EQ(client.OneBound("select set_config('leasehold.tenant', $1, false)", {"globex"}), "!42501");
  EXPECT_EQ(client.One("set leasehold.tenant = 'nobody'"), "!3D000");
  EXPECT_EQ(client.One("set leasehold.tenant = 'slow'"), "!57P03");
  EXPECT_EQ(client.One("set leasehold.tenant = 'frozen'"), "!55000");
  EXPECT_EQ(client.One("set leasehold.tenant = 'No_Such!'"), "!22023");
  EXPECT_EQ(client.One("set local leasehold.tenant = 'acme'"), "!0A000");
  EXPECT_EQ(client.One("set leasehold.tennant = 'acme'"), "!42704");
  EXPECT_EQ(client.One("select 1, set_config('leasehold.tenant', 'globex', false)"), "!0A000");
  EXPECT_EQ(Where(client), "tenant_acme_identity");
  EXPECT_EQ(client.One("set leasehold.tenant = 'globex'; create table wrong(i int)"), "!42501");
  EXPECT_EQ(client.One("select to_regclass('wrong') is null"), "t");
}

TEST_F(SwitchTest, TenantsDoNotSeeEachOther) {
  Client client = Connect();
  client.One("create table secret(v text)");
  client.One("insert into secret values ('acme only')");
  client.One("set leasehold.tenant = 'globex'");
  EXPECT_EQ(client.One("select v from secret"), "!42P01");
  client.One("reset leasehold.tenant");
  EXPECT_EQ(client.One("select v from secret"), "acme only");
  client.One("drop table secret");
}

TEST_F(SwitchTest, CentralAndBack) {
  const std::string password = authority_.Lease("lh1.central", {.home = "", .switch_to = {"*"}});
  Client client(Dsn("lh1.central", password));
  ASSERT_TRUE(client.ok()) << client.error();
  EXPECT_EQ(Where(client), "identity_central");
  EXPECT_EQ(client.One("show leasehold.tenant"), "");
  EXPECT_EQ(client.One("set leasehold.tenant = 'acme'"), "SET");
  EXPECT_EQ(Where(client), "tenant_acme_identity");
  EXPECT_EQ(client.One("reset leasehold.tenant"), "RESET");
  EXPECT_EQ(Where(client), "identity_central");
  client.One("set leasehold.tenant = 'acme'");
  EXPECT_EQ(client.One("select set_config('leasehold.tenant', '', false)"), "");
  EXPECT_EQ(Where(client), "identity_central");
}

TEST_F(SwitchTest, DiscardAllAndResetAllGoHome) {
  Client client = Connect();
  for (const char* sql : {"DISCARD ALL", "RESET ALL", "select 1; close all; unlisten *; reset all;"}) {
    client.One("set leasehold.tenant = 'globex'");
    EXPECT_EQ(Where(client), "tenant_globex_identity");
    EXPECT_THAT(client.One(sql), testing::Not(testing::StartsWith("!"))) << sql;
    EXPECT_EQ(Where(client), "tenant_acme_identity") << sql;
  }
  client.One("set leasehold.tenant = 'globex'");
  EXPECT_EQ(client.OneBound("DISCARD ALL", {}), "DISCARD ALL");
  EXPECT_EQ(Where(client), "tenant_acme_identity");
  client.One("set leasehold.tenant = 'globex'");
  EXPECT_EQ(client.One("select 1/0; reset all"), "!22012");
  EXPECT_EQ(Where(client), "tenant_globex_identity");
}

TEST_F(SwitchTest, SettingsThatASwitchKeeps) {
  Client client = Connect("application_name=payroll options='-c work_mem=12345'");
  client.One("set timezone = 'Asia/Tokyo'");
  client.One("set leasehold.tenant = 'globex'");
  EXPECT_EQ(client.One("show timezone"), "Asia/Tokyo");
  EXPECT_EQ(client.One("show application_name"), "payroll");
  EXPECT_EQ(client.One("show work_mem"), "12345kB");
  EXPECT_STREQ(PQparameterStatus(client.get(), "TimeZone"), "Asia/Tokyo");
  client.One("discard all");
  EXPECT_NE(client.One("show timezone"), "Asia/Tokyo");
  EXPECT_STRNE(PQparameterStatus(client.get(), "TimeZone"), "Asia/Tokyo");
}

// Whether the gateway has run it or the server, by itself, among others, or under a name that it was prepared by while
// the server was kept.
TEST_F(SwitchTest, SettingsAfterAResetAllElsewhere) {
  Client client = Connect("application_name=payroll options='-c timezone=Etc/GMT+3'");
  client.One("set leasehold.tenant = 'globex'");
  client.One("listen news");
  ASSERT_EQ(Client::Show(Client::Result(PQprepare(client.get(), "reset", "reset all", 0, nullptr), PQclear)), "");
  client.One("unlisten news");
  client.One("reset leasehold.tenant");
  const auto reset = [&client](const std::string& sql) {
    if (!sql.empty()) return client.One(sql);
    return Client::Show(
        Client::Result(PQexecPrepared(client.get(), "reset", 0, nullptr, nullptr, nullptr, 0), PQclear));
  };
  for (const std::string sql : {"reset all", "select 1; reset all", ""}) {
    client.One("set leasehold.tenant = 'globex'");
    client.One("set work_mem = '12345kB'");
    EXPECT_EQ(client.One("show timezone"), "Etc/GMT+3") << sql;
    EXPECT_THAT(reset(sql), testing::Not(testing::StartsWith("!"))) << sql << client.error();
    EXPECT_EQ(Where(client), "tenant_acme_identity") << sql;
    client.One("set leasehold.tenant = 'globex'");
    EXPECT_EQ(client.One("show timezone"), "Etc/GMT+3") << sql;
    EXPECT_EQ(client.One("show application_name"), "payroll") << sql;
    EXPECT_NE(client.One("show work_mem"), "12345kB") << sql;
    client.One("reset leasehold.tenant");
  }
}

TEST_F(SwitchTest, ADatabaseThatIsNotThereFailsTheStatementNotTheSession) {
  Client client = Connect();
  EXPECT_EQ(client.One("set leasehold.tenant = 'ghost'"), "SET");
  const auto failed = client.Exec("select 1");
  EXPECT_EQ(Client::Show(failed), "!57P03");
  EXPECT_STREQ(PQresultErrorField(failed.get(), PG_DIAG_SEVERITY), "ERROR");
  EXPECT_THAT(client.error(), testing::Not(testing::HasSubstr("tenant_ghost")));
  EXPECT_EQ(client.OneBound("select $1::int", {"1"}), "!57P03");
  EXPECT_EQ(client.One("show leasehold.tenant"), "ghost");
  EXPECT_EQ(client.One("reset leasehold.tenant"), "RESET");
  EXPECT_EQ(client.OneBound("select $1::int", {"1"}), "1");
}

TEST_F(SwitchTest, AStatementTooLongToBeReadWhole) {
  Client client = Connect();
  const std::string filler(1'100'000, ' ');
  EXPECT_EQ(client.One("set leasehold.tenant = 'globex';" + filler + "select 1"), "!54000");
  EXPECT_EQ(client.One("select 'leasehold'," + filler + "1"), "leasehold");
  // What is read ends in the middle of a literal or a comment.
  EXPECT_EQ(client.One("set leasehold.tenant = 'globex'; select '" + filler + "'"), "!54000");
  EXPECT_EQ(client.OneBound("set leasehold.tenant = 'globex' /*" + filler + "*/", {}), "!54000");
  EXPECT_EQ(client.OneBound("select set_config('leasehold.tenant', $1, false) --" + filler, {"globex"}), "!54000");
  EXPECT_EQ(client.One("show leasehold.tenant"), "acme");
  EXPECT_EQ(Where(client), "tenant_acme_identity");
  // What it leaves the server is asked of.
  EXPECT_EQ(client.One(filler + "listen news"), "LISTEN");
  EXPECT_EQ(client.One("show leasehold.pinned"), "LISTEN");
  EXPECT_EQ(client.One("unlisten news"), "UNLISTEN");
  EXPECT_EQ(client.One(filler + "select 1"), "1");
  EXPECT_EQ(client.One("show leasehold.pinned"), "");
  EXPECT_EQ(client.One(filler + "prepare late as select 1"), "PREPARE");
  EXPECT_EQ(Connect().One("prepare late as select 2"), "PREPARE");
  EXPECT_EQ(client.One("deallocate late"), "DEALLOCATE");
}

TEST_F(SwitchTest, ALongStatementThatIsReadWhole) {
  Client client = Connect();
  const std::string filler(900'000, ' ');
  EXPECT_EQ(client.One(filler + "set leasehold.tenant = 'globex'"), "SET");
  EXPECT_EQ(Where(client), "tenant_globex_identity");
  EXPECT_EQ(client.One("select 1;" + filler + "reset all"), "RESET");
  EXPECT_EQ(Where(client), "tenant_acme_identity");
  EXPECT_EQ(client.One(filler + "set work_mem = '77kB'"), "SET");
  EXPECT_EQ(client.One("show work_mem"), "77kB");
  EXPECT_EQ(client.One("select 1;" + filler + "set leasehold.tenant = 'globex'"), "!25001");
}

// Ten clients on three servers move as they like, in every form, and ask in every answer where they are.
TEST_F(SwitchTest, UnderConcurrencyEveryAnswerIsFromTheRightDatabase) {
  Begin({.max_connections = 3});
  const std::vector<std::string> tenants = {"acme", "globex", "initech"};
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < 10; ++t) {
    threads.emplace_back([&, t] {
      std::minstd_rand random(t + 1);
      Client client = Connect();
      PQclear(PQprepare(client.get(), "where", "select current_database(), $1::int", 0, nullptr));
      for (int i = 0; i < 100; ++i) {
        const std::string tenant = tenants[random() % 3];
        switch (random() % 4) {
          case 0:
            EXPECT_EQ(client.One("set leasehold.tenant = '" + tenant + "'"), "SET");
            break;
          case 1:
            EXPECT_EQ(client.OneBound("select set_config('leasehold.tenant', $1, false)", {tenant.c_str()}), tenant);
            break;
          case 2:
            EXPECT_EQ(client.OneBound("select set_config('leasehold.tenant', $1, $2)", {tenant.c_str(), "f"}), tenant);
            break;
          default:
            EXPECT_EQ(client.One("reset leasehold.tenant; set leasehold.tenant to " + tenant), "SET");
            break;
        }
        const std::string expected = "tenant_" + tenant + "_identity";
        const std::string number = std::to_string(i);
        const char* const value = number.c_str();
        const Client::Result prepared(PQexecPrepared(client.get(), "where", 1, &value, nullptr, nullptr, 0), PQclear);
        EXPECT_EQ(Client::Show(prepared), expected);
        EXPECT_STREQ(PQgetvalue(prepared.get(), 0, 1), value);
        EXPECT_EQ(client.One("begin"), "BEGIN");
        EXPECT_EQ(client.OneBound("select current_database() || $1", {"!"}), expected + "!");
        EXPECT_EQ(client.One(i % 3 == 0 ? "select 1/0" : "select current_database()"),
                  i % 3 == 0 ? "!22012" : expected);
        EXPECT_EQ(client.One("rollback"), "ROLLBACK");
        EXPECT_EQ(client.One("select current_database()"), expected);
      }
    });
  }
  Client admin = instance_->Admin();
  for (int i = 0; i < 50; ++i) EXPECT_LE(instance_->Backends(), 3);
  threads.clear();
}

TEST_F(SwitchTest, ManySwitchesLeaveNothingBehind) {
  Client client = Connect();
  for (int i = 0; i < 30; ++i) {
    const std::string tenant = i % 2 == 0 ? "globex" : "acme";
    ASSERT_EQ(client.One("set leasehold.tenant = '" + tenant + "'"), "SET");
    ASSERT_EQ(Where(client), "tenant_" + tenant + "_identity");
  }
  EXPECT_EQ(instance_->Backends(), 2);  // one each, used again and again
}

}  // namespace
}  // namespace leasehold::gateway::testing_stack
