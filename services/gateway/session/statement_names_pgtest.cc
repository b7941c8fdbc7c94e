// Names of prepared statements, by the protocol and by SQL: each client's own, over servers and switches.
#include <gmock/gmock.h>

#include <format>

#include "services/gateway/session/testing_stack.h"
#include "services/gateway/session/testing_wire.h"

namespace leasehold::gateway::testing_stack {
namespace {

class StatementNamesTest : public EndpointTest {
 protected:
  void SetUp() override {
    EndpointTest::SetUp();
    Begin({.max_connections = 1});
  }
};

TEST_F(StatementNamesTest, NamesOfStatementsAreEachClientsOwn) {
  Client one = Connect();
  Client two = Connect();
  const auto run = [](Client& client, const char* name) {
    return Client::Show(Client::Result(PQexecPrepared(client.get(), name, 0, nullptr, nullptr, nullptr, 0), PQclear));
  };
  for (const char* name : {"same", ""}) {
    PQclear(PQprepare(one.get(), name, "select 'one'", 0, nullptr));
    EXPECT_EQ(run(two, name), "!26000");
    PQclear(PQprepare(two.get(), name, "select 'two'", 0, nullptr));
    EXPECT_EQ(run(one, name), "one");
    EXPECT_EQ(run(two, name), "two");
  }
  // A tenant's server on which a client's PREPARE could be made again only in part.
  Begin({.max_connections = 2, .tenant_max_connections = 1});
  const std::string password = authority_.Lease("lh1.globex", {.home = "globex"});
  Client globex(Dsn("lh1.globex", password));
  Client moving = Connect();
  moving.One("create table only_here (i int)");
  moving.One("prepare a as select 'a'");
  moving.One("prepare b as select * from only_here");
  moving.One("set leasehold.tenant = 'globex'");
  EXPECT_EQ(moving.One("execute a"), "!42P01");
  EXPECT_EQ(globex.One("execute a"), "!26000");
  EXPECT_EQ(globex.One("select count(*) from pg_prepared_statements"), "0");
  EXPECT_EQ(moving.One("reset leasehold.tenant"), "RESET");
  EXPECT_EQ(moving.One("execute a"), "a");
  EXPECT_EQ(moving.One("drop table only_here"), "DROP TABLE");
}

// Literals are read when a statement is prepared, by the settings of who prepares it.
TEST_F(StatementNamesTest, WhatATextMeansIsEachClientsOwn) {
  struct Reading {
    const char* set;
    const char* text;
    const char* value;
  };
  const std::vector<std::vector<Reading>> all = {
      {{"set timezone = 'America/New_York'", "select extract(epoch from '2020-01-01 00:00'::timestamptz)::int",
        "1577854800"},
       {"set timezone = 'Asia/Tokyo'", "select extract(epoch from '2020-01-01 00:00'::timestamptz)::int", "1577804400"},
       {"select set_config('TimeZone', 'UTC', false)",
        "select extract(epoch from '2020-01-01 00:00'::timestamptz)::int", "1577836800"}},
      {{"set datestyle = 'ISO, MDY'", "select extract(month from '01/02/2020'::date)::int", "1"},
       {"set datestyle = 'ISO, DMY'", "select extract(month from '01/02/2020'::date)::int", "2"}},
      {{"set client_encoding = 'UTF8'", "select length('\xc3\xa9')", "1"},
       {"set client_encoding = 'LATIN1'", "select length('\xc3\xa9')", "2"}},
      {{"set standard_conforming_strings = on", "select length('\\n')", "2"},
       {"set standard_conforming_strings = off", "select length('\\n')", "1"}},
      {{"set intervalstyle = 'sql_standard'", "select extract(hour from '-1 2:03:04'::interval)::int", "-2"},
       {"set intervalstyle = 'postgres'", "select extract(hour from '-1 2:03:04'::interval)::int", "2"}},
  };
  for (const auto& readings : all) {
    for (const bool at_once : {false, true}) {
      for (const Reading& reading : readings) {
        Client client = Connect();
        if (at_once) client.One("begin");  // then it has been set, and not been read back
        client.One(reading.set);
        PQclear(PQprepare(client.get(), "s", reading.text, 0, nullptr));
        EXPECT_EQ(
            Client::Show(Client::Result(PQexecPrepared(client.get(), "s", 0, nullptr, nullptr, nullptr, 0), PQclear)),
            reading.value)
            << reading.set;
      }
    }
  }
}

// … is not made again where the client goes next; what it could not take away is.
TEST_F(StatementNamesTest, WhatIsDeallocatedInPart) {
  Begin({.max_connections = 2});
  Client one = Connect();
  one.One("prepare first as select 'first'; prepare second as select 'second'; prepare third as select 'third'");
  one.One("deallocate first");
  EXPECT_EQ(one.OneBound("deallocate second", {}), "DEALLOCATE");
  EXPECT_EQ(one.One("begin; select 1/0"), "!22012");
  EXPECT_EQ(one.One("deallocate third"), "!25P02");
  EXPECT_EQ(one.One("rollback"), "ROLLBACK");
  for (const char* move : {"select 1", "set leasehold.tenant = 'globex'", "reset leasehold.tenant"}) {
    one.One(move);
    EXPECT_EQ(one.One("select string_agg(name, ',') from pg_prepared_statements where from_sql"), "third") << move;
  }
  EXPECT_EQ(one.One("deallocate third; prepare third as select 'anew'"), "PREPARE");
  EXPECT_EQ(one.One("prepare third as select 'refused'"), "!42P05");
  one.One("set leasehold.tenant = 'globex'");
  EXPECT_EQ(one.One("execute third"), "anew");
  std::string many = "select 1";
  for (int i = 0; i < 500; ++i) many += std::format("; prepare p{} as select 1", i);
  EXPECT_EQ(one.One(many), "!54000");
  EXPECT_EQ(one.One("prepare first as select 'again'"), "PREPARE");
  EXPECT_EQ(one.One("execute first"), "again");
}

// The answers that are the gateway's own, to a Close or to a Parse of what the server has already, are in their places
// also behind a message that comes in several reads.
TEST_F(StatementNamesTest, WhatIsAnsweredBehindALongDescription) {
  Client client = Connect();
  Wire wire(client);
  std::string wide = "select 0 as c";
  for (int i = 1; i < 1600; ++i) wide += std::format(", {} as {}_{}", i, std::string(50, 'c'), i);
  ASSERT_EQ(wire.Parse("wide", wide).Parse("x", "select 'x'").Parse("y", "select 'y'").Sync().Talk(), "1 1 1 Z(I)");
  EXPECT_EQ(wire.Describe('S', "wide").Close("x").Sync().Talk(), "t T1600 3 Z(I)");
  EXPECT_EQ(wire.Describe('S', "wide").Parse("z", "select 'y'").Sync().Talk(), "t T1600 1 Z(I)");
  EXPECT_EQ(wire.Describe('S', "wide").Close("y").Describe('S', "z").Sync().Talk(), "t T1600 3 t T1 Z(I)");
  EXPECT_EQ(wire.Bind("z").Execute().Sync().Talk(), "2 D(y) C(SELECT 1) Z(I)");
}

TEST_F(StatementNamesTest, AClientMayHaveSoManyAndOfSoManyBytes) {
  Client client = Connect();
  Wire wire(client);
  for (int i = 0; i < 1'000; ++i) wire.Parse(std::format("s{}", i), "select 1");
  wire.Sync();
  EXPECT_THAT(wire.Talk(), testing::EndsWith("1 Z(I)"));
  EXPECT_EQ(wire.Parse("one more", "select 1").Sync().Talk(), "E(54000) Z(I)");
  EXPECT_EQ(wire.Close("s0").Parse("one more", "select 1").Bind("one more").Execute().Sync().Talk(),
            "3 1 2 D(1) C(SELECT 1) Z(I)");
  EXPECT_EQ(wire.Query("deallocate all").Talk(), "C(DEALLOCATE ALL) Z(I)");
  const std::string large = "select 1 --" + std::string(1'900'000, '-');
  for (int i = 0; i < 4; ++i) EXPECT_EQ(wire.Parse(std::format("l{}", i), large).Sync().Talk(), "1 Z(I)");
  EXPECT_EQ(wire.Parse("l4", large).Sync().Talk(), "E(54000) Z(I)");
  EXPECT_EQ(wire.Bind("l3").Execute().Sync().Talk(), "2 D(1) C(SELECT 1) Z(I)");
}

TEST_F(StatementNamesTest, ManyOfThemAreReadBackAtOnce) {
  Client one = Connect();
  for (int i = 0; i < 500; ++i) ASSERT_EQ(one.One(std::format("prepare p{} as select {}", i, i)), "PREPARE");
  one.One("set statement_timeout = '1s'");
  EXPECT_EQ(one.One("deallocate p1"), "DEALLOCATE");
  EXPECT_EQ(one.One("deallocate p499; select 1/0"), "!22012");
  one.One("set leasehold.tenant = 'globex'");
  EXPECT_EQ(one.One("execute p1"), "!26000");
  EXPECT_EQ(one.One("execute p499"), "!26000") << "which no failure undoes";
  EXPECT_EQ(one.One("execute p498"), "498");
  EXPECT_EQ(one.One("execute p0"), "0");
}

TEST_F(StatementNamesTest, DeallocateAllIsBelievedWhenDone) {
  Client one = Connect();
  Wire wire(one);
  wire.Query("prepare q as select 'q'");
  EXPECT_EQ(wire.Talk(), "C(PREPARE) Z(I)");
  EXPECT_EQ(wire.Parse("s", "select 's'").Sync().Talk(), "1 Z(I)");
  wire.Query("begin; select 1/0").Query("deallocate all").Query("rollback");
  EXPECT_THAT(wire.Talk(), testing::HasSubstr("E(22012)"));
  EXPECT_EQ(wire.Talk(), "E(25P02) Z(E)");
  EXPECT_EQ(wire.Talk(), "C(ROLLBACK) Z(I)");
  EXPECT_EQ(wire.Bind("s").Execute().Sync().Talk(), "2 D(s) C(SELECT 1) Z(I)");
  wire.Query("select pg_sleep(0.05)").Parse("", "deallocate all").Bind("").Execute().Sync();
  EXPECT_THAT(wire.Talk(), testing::EndsWith("C(SELECT 1) Z(I)"));
  EXPECT_EQ(wire.Talk(), "1 2 C(DEALLOCATE ALL) Z(I)");
  EXPECT_EQ(wire.Bind("s").Sync().Talk(), "E(26000) Z(I)") << "also if something was on its way before";
  EXPECT_EQ(wire.Query("execute q").Talk(), "E(26000) Z(I)");
  wire.Query("prepare q as select 'q'");
  EXPECT_EQ(wire.Talk(), "C(PREPARE) Z(I)");
  EXPECT_EQ(wire.Parse("", "deallocate all").Bind("").Execute().Parse("s", "select 'anew'").Sync().Talk(),
            "1 2 C(DEALLOCATE ALL) 1 Z(I)");
  EXPECT_EQ(wire.Bind("s").Execute().Sync().Talk(), "2 D(anew) C(SELECT 1) Z(I)");
}

// A tenant where they cannot be made again is no trap.
TEST_F(StatementNamesTest, WhatCannotBeMadeAgainCanBeDeallocated) {
  Begin({.max_connections = 2});
  Client one = Connect();
  one.One("create table only_here (i int)");
  for (const char* way_out : {"deallocate all", "deallocate p", "reset all", "discard all"}) {
    one.One("prepare p as select * from only_here");
    one.One("set leasehold.tenant = 'globex'");
    EXPECT_EQ(one.One("select 1"), "!42P01") << way_out;
    EXPECT_THAT(one.One(way_out), testing::Not(testing::StartsWith("!"))) << way_out;
    EXPECT_EQ(one.One("select 1"), "1") << way_out;
    one.One("discard all");
  }
  EXPECT_EQ(one.One("drop table only_here"), "DROP TABLE");
}

TEST_F(StatementNamesTest, MakingThemAgainCanBeCancelled) {
  Begin({.max_connections = 3});
  Client one = Connect();
  Client locks = Connect();
  one.One("create table locked (i int)");
  one.One("prepare p as select * from locked");
  one.One("set leasehold.tenant = 'globex'");
  EXPECT_EQ(one.One("reset leasehold.tenant"), "RESET");
  locks.One("begin; lock table locked");
  ASSERT_EQ(PQsendQuery(one.get(), "select 1"), 1);
  Client admin = instance_->Admin();
  while (admin.One("select count(*) from pg_locks where not granted") != "1") {
  }
  PGcancel* const cancel = PQgetCancel(one.get());
  char why[256];
  EXPECT_EQ(PQcancel(cancel, why, sizeof(why)), 1);
  PQfreeCancel(cancel);
  EXPECT_EQ(Client::Show(Client::Result(PQgetResult(one.get()), PQclear)), "!57014");
  while (PGresult* result = PQgetResult(one.get())) PQclear(result);
  EXPECT_EQ(locks.One("rollback"), "ROLLBACK");
  EXPECT_EQ(one.One("execute p"), "");
  EXPECT_EQ(one.One("drop table locked"), "DROP TABLE");
}

TEST_F(StatementNamesTest, ThoseOfLeaseholdSettingsToo) {
  Client one = Connect();
  const auto prepare = [&one](const char* name) {
    return Client::Show(Client::Result(PQprepare(one.get(), name, "show leasehold.tenant", 0, nullptr), PQclear));
  };
  for (const char* sql : {"deallocate which", "deallocate all", "discard all"}) {
    EXPECT_EQ(prepare("which"), "") << sql;
    EXPECT_EQ(prepare("which"), "!42P05") << sql;
    EXPECT_THAT(one.One(sql), testing::Not(testing::StartsWith("!"))) << sql;
  }
  EXPECT_EQ(prepare("which"), "");
  EXPECT_EQ(one.One("begin; select 1/0"), "!22012");
  for (const char* sql : {"deallocate which", "deallocate all"}) EXPECT_EQ(one.One(sql), "!25P02") << sql;
  EXPECT_EQ(one.One("rollback"), "ROLLBACK");
  EXPECT_EQ(prepare("which"), "!42P05");
}

// Which PostgreSQL ignores.
TEST_F(StatementNamesTest, ACloseBehindAnErrorClosesNothing) {
  Client one = Connect();
  Wire wire(one);
  EXPECT_EQ(wire.Parse("s", "select 'old'").Sync().Talk(), "1 Z(I)");
  wire.Parse("", "select 1/0").Bind("").Execute().Close("s").Parse("s", "select 'new'").Sync();
  EXPECT_EQ(wire.Talk(), "1 E(22012) Z(I)");
  EXPECT_EQ(wire.Bind("s").Execute().Sync().Talk(), "2 D(old) C(SELECT 1) Z(I)");
  EXPECT_EQ(wire.Close("s").Parse("s", "select 'new'").Bind("s").Execute().Sync().Talk(),
            "3 1 2 D(new) C(SELECT 1) Z(I)");
  wire.Parse("", "select 1/0").Bind("").Execute().Parse("t", "select 't'").Close("t").Sync();
  EXPECT_EQ(wire.Talk(), "1 E(22012) Z(I)");
  EXPECT_EQ(wire.Bind("t").Sync().Talk(), "E(26000) Z(I)");
}

}  // namespace
}  // namespace leasehold::gateway::testing_stack
