// Names of prepared statements, by the protocol and by SQL: each client's own, over servers and switches.
#include <gmock/gmock.h>

#include <format>

#include "services/gateway/session/testing_stack.h"

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

}  // namespace
}  // namespace leasehold::gateway::testing_stack
