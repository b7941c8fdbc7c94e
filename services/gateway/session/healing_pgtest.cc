// Prepared statements whose plans DDL has overtaken: who notices, and who must.
#include <gmock/gmock.h>

#include "services/gateway/session/testing_wire.h"

namespace leasehold::gateway::testing_stack {
namespace {

class HealingTest : public EndpointTest {
 protected:
  void SetUp() override {
    EndpointTest::SetUp();
    Admin(
        "drop schema if exists other cascade; drop table if exists shape; create table shape (a int); "
        "insert into shape values (1); grant all on shape to public");
  }
  void TearDown() override {
    Admin("drop table if exists shape");
    EndpointTest::TearDown();
  }
  // Behind the gateway's back.
  void Admin(const std::string& sql) {
    Client admin = instance_->Admin("tenant_acme_identity");
    ASSERT_NE(admin.One(sql)[0], '!') << admin.error();
  }
  void AddColumn() { Admin("alter table shape add column b text default 'new'"); }
  static void Prepare(Client& client, const char* name, const char* sql = "select * from shape") {
    EXPECT_EQ(Client::Show(Client::Result(PQprepare(client.get(), name, sql, 0, nullptr), PQclear)), "");
  }
  static Client::Result Run(Client& client, const char* name) {
    return {PQexecPrepared(client.get(), name, 0, nullptr, nullptr, nullptr, 0), PQclear};
  }
};

TEST_F(HealingTest, ABatchThatDescribesGetsTheNewColumns) {
  Client client = Connect();
  Prepare(client, "s");
  EXPECT_EQ(PQnfields(Run(client, "s").get()), 1);
  AddColumn();
  // libpq asks for the columns in each batch.
  const Client::Result healed = Run(client, "s");
  ASSERT_EQ(PQresultStatus(healed.get()), PGRES_TUPLES_OK) << PQresultErrorMessage(healed.get());
  EXPECT_EQ(PQnfields(healed.get()), 2);
  EXPECT_STREQ(PQgetvalue(healed.get(), 0, 1), "new");
  const Client::Result described(PQdescribePrepared(client.get(), "s"), PQclear);
  EXPECT_EQ(PQnfields(described.get()), 2);
}

TEST_F(HealingTest, ADescribeIsHealedToo) {
  Client client = Connect();
  Prepare(client, "s");
  AddColumn();
  const Client::Result described(PQdescribePrepared(client.get(), "s"), PQclear);
  ASSERT_EQ(PQresultStatus(described.get()), PGRES_COMMAND_OK) << PQresultErrorMessage(described.get());
  EXPECT_EQ(PQnfields(described.get()), 2);
}

TEST_F(HealingTest, WhoGoesByAnEarlierDescribeIsTold) {
  Begin({.max_connections = 1});
  Client client = Connect();
  Wire wire(client);
  EXPECT_EQ(wire.Parse("s", "select * from shape").Describe('S', "s").Sync().Talk(), "1 t T1 Z(I)");
  EXPECT_EQ(wire.Bind("s").Execute().Sync().Talk(), "2 D(1) C(SELECT 1) Z(I)");
  AddColumn();
  EXPECT_EQ(wire.Bind("s").Execute().Sync().Talk(), "E(0A000) Z(I)");
  EXPECT_EQ(wire.Bind("s").Execute().Sync().Talk(), "2 D(1,new) C(SELECT 1) Z(I)") << "once";
  // The columns are told before the rows, or it is too late.
  Admin("alter table shape drop column b");
  EXPECT_EQ(wire.Bind("s").Execute().Describe('P').Sync().Talk(), "E(0A000) Z(I)");
}

TEST_F(HealingTest, WhoPreparesInTheSameBatchMeetsNobodysOldPlan) {
  Begin({.max_connections = 1});
  Client old = Connect();
  Prepare(old, "s");
  AddColumn();
  Client fresh = Connect();
  Wire wire(fresh);
  EXPECT_EQ(wire.Parse("mine", "select * from shape").Bind("mine").Execute().Sync().Talk(),
            "1 2 D(1,new) C(SELECT 1) Z(I)");
  EXPECT_EQ(PQnfields(Run(old, "s").get()), 2);
}

TEST_F(HealingTest, BeforeTheSyncToo) {
  Begin({.max_connections = 1});
  Client old = Connect();
  Prepare(old, "s");
  AddColumn();
  Client fresh = Connect();
  Wire wire(fresh);
  // As asyncpg prepares.
  EXPECT_EQ(wire.Parse("mine", "select * from shape").Describe('S', "mine").Flush().Talk('T'), "1 t T2");
  EXPECT_EQ(wire.Bind("mine").Execute().Sync().Talk(), "2 D(1,new) C(SELECT 1) Z(I)");
}

TEST_F(HealingTest, WhoWasToldTheNewColumnsMeetsTheOldPlanNowhere) {
  Begin({.max_connections = 2});
  Client one = Connect();
  Client two = Connect();
  Prepare(one, "s");
  two.One("begin");
  Prepare(one, "t");  // the same text, on the other server
  two.One("commit");
  AddColumn();
  Wire wire(one);
  EXPECT_EQ(wire.Bind("s").Execute().Sync().Talk(), "E(0A000) Z(I)");
  two.One("begin");  // takes the server that was used last
  EXPECT_EQ(wire.Bind("s").Execute().Sync().Talk(), "2 D(1,new) C(SELECT 1) Z(I)");
  two.One("commit");
}

TEST_F(HealingTest, ATransactionIsLost) {
  Client client = Connect();
  Prepare(client, "s");
  AddColumn();
  client.One("begin");
  EXPECT_EQ(Client::Show(Run(client, "s")), "!0A000");
  EXPECT_EQ(client.One("commit"), "ROLLBACK");
  EXPECT_EQ(PQnfields(Run(client, "s").get()), 2);
}

TEST_F(HealingTest, WhatHasRunIsNotRunAgain) {
  Client client = Connect();
  Prepare(client, "s");
  AddColumn();
  Wire wire(client);
  wire.Parse("add", "insert into shape values (2)").Bind("add").Execute().Bind("s").Describe('P').Execute().Sync();
  EXPECT_EQ(wire.Talk(), "1 2 C(INSERT 0 1) E(0A000) Z(I)");
  EXPECT_EQ(client.One("select count(*) from shape"), "1");
}

TEST_F(HealingTest, NorWhatStandsBehindIt) {
  Client client = Connect();
  Prepare(client, "s");
  AddColumn();
  Wire wire(client);
  wire.Bind("s").Describe('P').Execute().Sync().Query("select 'behind'");
  EXPECT_EQ(wire.Talk(), "E(0A000) Z(I)");
  EXPECT_EQ(wire.Talk(), "T1 D(behind) C(SELECT 1) Z(I)") << "answers keep their order";
}

TEST_F(HealingTest, TheRestOfTheBatchIsAsItWas) {
  Client client = Connect();
  Prepare(client, "s");
  AddColumn();
  Wire wire(client);
  wire.Bind("s").Describe('P').Execute().Parse("next", "select 'next'").Bind("next").Execute().Sync();
  EXPECT_EQ(wire.Talk(), "2 T2 D(1,new) C(SELECT 1) 1 2 D(next) C(SELECT 1) Z(I)");
  EXPECT_EQ(wire.Bind("next").Execute().Sync().Talk(), "2 D(next) C(SELECT 1) Z(I)");
  EXPECT_EQ(wire.Parse("next", "select 1").Sync().Talk(), "E(42P05) Z(I)");
}

TEST_F(HealingTest, AStatementThatWasDroppedBehindOurBack) {
  Begin({.max_connections = 1});
  Client client = Connect();
  Prepare(client, "s");
  EXPECT_EQ(client.One("do $$ begin execute 'deallocate all'; end $$"), "DO");
  EXPECT_EQ(Client::Show(Run(client, "s")), "1");
  Wire wire(client);
  EXPECT_EQ(wire.Query("do $$ begin execute 'deallocate all'; end $$").Talk(), "C(DO) Z(I)");
  EXPECT_EQ(wire.Bind("s").Execute().Sync().Talk(), "2 D(1) C(SELECT 1) Z(I)") << "its columns are the same";
}

TEST_F(HealingTest, TheSameTextMeansAnotherTableBehindAnotherPath) {
  Begin({.max_connections = 1});
  Client one = Connect();
  Client two = Connect();
  one.One("create schema other; create table other.shape (x int, y int); insert into other.shape values (7, 8)");
  two.One("set search_path = other");
  Wire here(one);
  Wire there(two);
  EXPECT_EQ(here.Parse("s", "select * from shape").Describe('S', "s").Sync().Talk(), "1 t T1 Z(I)");
  EXPECT_EQ(there.Parse("s", "select * from shape").Describe('S', "s").Sync().Talk(), "1 t T2 Z(I)");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(here.Bind("s").Execute().Sync().Talk(), "2 D(1) C(SELECT 1) Z(I)");
    EXPECT_EQ(there.Bind("s").Execute().Sync().Talk(), "2 D(7,8) C(SELECT 1) Z(I)");
  }
}

TEST_F(HealingTest, WhatPostgresSkipsIsNotPrepared) {
  Begin({.max_connections = 1});
  Client other = Connect();
  Prepare(other, "known", "select 'known'");
  Client client = Connect();
  Wire wire(client);
  // Behind an error: what the server knows already, what it does not, and the unnamed one.
  wire.Bind("nobody").Parse("a", "select 'known'").Parse("b", "select 'unknown'").Parse("", "select 'mine'").Sync();
  EXPECT_EQ(wire.Talk(), "E(26000) Z(I)");
  EXPECT_EQ(wire.Bind("a").Sync().Talk(), "E(26000) Z(I)");
  EXPECT_EQ(wire.Bind("b").Sync().Talk(), "E(26000) Z(I)");
  EXPECT_EQ(wire.Bind("").Sync().Talk(), "E(26000) Z(I)");
  // The same when the error has been heard before they are sent.
  EXPECT_EQ(wire.Bind("nobody").Flush().Talk('E'), "E(26000)");
  EXPECT_EQ(wire.Parse("a", "select 'known'").Parse("b", "select 'unknown'").Sync().Talk(), "Z(I)");
  EXPECT_EQ(wire.Parse("a", "select 'a'").Parse("b", "select 'unknown'").Bind("b").Execute().Sync().Talk(),
            "1 1 2 D(unknown) C(SELECT 1) Z(I)");
  EXPECT_EQ(Client::Show(Run(other, "known")), "known");
}

TEST_F(HealingTest, AFailedParseCostsNothingOfWhatAClientMayPrepare) {
  Client client = Connect();
  Wire wire(client);
  const std::string wrong = "select " + std::string(60'000, ' ') + "nonsense";
  for (int i = 0; i < 200; ++i) ASSERT_EQ(wire.Parse("s", wrong).Sync().Talk(), "E(42703) Z(I)") << i;
}

}  // namespace
}  // namespace leasehold::gateway::testing_stack
