// Servers that die: what is told of it, and that nothing of a transaction runs by itself.
#include <gmock/gmock.h>

#include <future>
#include <thread>

#include "services/gateway/session/testing_stack.h"
#include "services/gateway/session/testing_wire.h"

namespace leasehold::gateway::testing_stack {
namespace {

class LostTest : public EndpointTest {
 protected:
  // Those of acme's database; and the endpoint has noticed.
  void KillServers() {
    instance_->Admin().One(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'tenant_acme_identity'");
    const auto servers = [this] {
      std::promise<int> count;
      endpoint_->Pools([&count](const std::vector<PoolReport>& pools) { count.set_value(pools.at(0).servers); });
      return count.get_future().get();
    };
    while (servers() > 0) std::this_thread::yield();
  }
  // As soon as somebody does.
  static void KillWhoSleeps() {
    Client admin = instance_->Admin();
    while (admin.One("select count(pg_terminate_backend(pid)) from pg_stat_activity where wait_event = 'PgSleep'") ==
           "0") {
    }
  }
};

TEST_F(LostTest, AServerThatDiesTakesOnlyItsTransactionAlong) {
  Client client = Connect();
  Client admin = instance_->Admin();
  const std::string kill =
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'tenant_acme_identity'";
  ASSERT_EQ(client.One("select 1"), "1");
  admin.One(kill);  // idle in the pool: nobody's
  EXPECT_TRUE(instance_->BackendsReach(0, absl::Seconds(2)));
  EXPECT_EQ(client.One("select 2"), "2");

  ASSERT_EQ(client.One("begin"), "BEGIN");
  admin.One(kill);
  EXPECT_TRUE(instance_->BackendsReach(0, absl::Seconds(2)));
  const auto lost = client.Exec("select 3");
  EXPECT_EQ(Client::Show(lost), "!57P01") << "in PostgreSQL's words";
  EXPECT_STREQ(PQresultErrorField(lost.get(), PG_DIAG_SEVERITY), "ERROR");
  EXPECT_EQ(PQtransactionStatus(client.get()), PQTRANS_INERROR);
  EXPECT_EQ(client.One("rollback"), "ROLLBACK");

  ASSERT_EQ(PQsendQuery(client.get(), "select pg_sleep(30)"), 1);
  while (admin.One("select count(*) from pg_stat_activity where query = 'select pg_sleep(30)' and state = 'active'") !=
         "1") {
  }
  admin.One(kill);
  EXPECT_EQ(Client::Show(Client::Result(PQgetResult(client.get()), PQclear)), "!57P01");
  while (PGresult* result = PQgetResult(client.get())) PQclear(result);
  EXPECT_EQ(client.One("select 4"), "4");
}

// What it says next would run by itself otherwise, with nothing around it.
TEST_F(LostTest, WhoWasRefusedInATransactionHearsThatItIsLost) {
  Client client = Connect();
  Wire wire(client);
  ASSERT_EQ(wire.Query("begin").Talk(), "C(BEGIN) Z(T)");
  ASSERT_EQ(wire.Parse("", "set leasehold.tenant = 'globex'").Flush().Bind("").Execute().Flush().Talk('E'),
            "1 2 E(25001)");
  KillServers();
  EXPECT_EQ(wire.Sync().Talk(), "Z(E)");
  EXPECT_EQ(wire.Query("create table alone (a int)").Talk(), "E(57P01) Z(E)");
  EXPECT_EQ(wire.Parse("", "create table alone (a int)").Bind("").Execute().Sync().Talk(), "E(25P02) Z(E)");
  EXPECT_EQ(wire.Query("commit").Talk(), "E(08006) Z(I)");
  EXPECT_EQ(wire.Query("select to_regclass('alone') is null").Talk(), "T1 D(t) C(SELECT 1) Z(I)");
}

// What the gateway has prepared for its client belongs to the transaction as all else does.
TEST_F(LostTest, APreparedSwitchDoesNotRunInALostTransaction) {
  Client client = Connect();
  Wire wire(client);
  ASSERT_EQ(wire.Parse("move", "select set_config('leasehold.tenant', $1, false)")
                .Parse("where", "show leasehold.tenant")
                .Sync()
                .Talk(),
            "1 1 Z(I)");
  ASSERT_EQ(wire.Query("begin").Query("select 1").Talk(), "C(BEGIN) Z(T)");
  ASSERT_EQ(wire.Talk(), "T1 D(1) C(SELECT 1) Z(T)");
  KillServers();
  EXPECT_EQ(wire.Bind("move", {"globex"}).Execute().Sync().Talk(), "E(57P01) Z(E)");
  EXPECT_EQ(wire.Bind("where").Execute().Sync().Talk(), "E(25P02) Z(E)");
  EXPECT_EQ(wire.Describe('S', "where").Sync().Talk(), "E(25P02) Z(E)");
  EXPECT_EQ(wire.Query("rollback").Talk(), "C(ROLLBACK) Z(I)");
  EXPECT_EQ(wire.Bind("where").Execute().Sync().Talk(), "2 D(acme) C(SHOW) Z(I)");
  EXPECT_EQ(wire.Bind("move", {"globex"}).Execute().Sync().Talk(), "2 D(globex) C(SELECT 1) Z(I)");
}

// A second error behind the first is not heard by every client, but how the transaction stands is.
TEST_F(LostTest, AServerThatDiesAfterAFailureOfItsTransaction) {
  Client client = Connect();
  Wire wire(client);
  ASSERT_EQ(wire.Query("begin").Talk(), "C(BEGIN) Z(T)");
  ASSERT_EQ(wire.Parse("", "select 1/0").Bind("").Execute().Flush().Talk('E'), "1 E(22012)");
  KillServers();
  EXPECT_EQ(wire.Sync().Talk(), "Z(E)");
  EXPECT_EQ(wire.Query("rollback").Talk(), "C(ROLLBACK) Z(I)");
  EXPECT_EQ(wire.Query("select 4").Talk(), "T1 D(4) C(SELECT 1) Z(I)");
}

// Whatever of it is on its way, or comes later: in autocommit it would be done by itself.
TEST_F(LostTest, NothingOfALostTransactionRuns) {
  Client client = Connect();
  Wire wire(client);
  wire.Query("create table lost (a int)").Talk();
  // On its way.
  wire.Query("begin").Query("insert into lost values (1)").Query("select pg_sleep(60)");
  EXPECT_EQ(wire.Talk(), "C(BEGIN) Z(T)");
  EXPECT_EQ(wire.Talk(), "C(INSERT 0 1) Z(T)");
  KillWhoSleeps();
  EXPECT_THAT(wire.Talk(), testing::EndsWith("E(57P01) Z(E)"));
  EXPECT_EQ(wire.Query("insert into lost values (2)").Talk(), "E(25P02) Z(E)");
  EXPECT_EQ(wire.Sync().Talk(), "Z(E)");
  EXPECT_EQ(wire.Parse("", "insert into lost values (3)").Bind("").Execute().Sync().Talk(), "E(25P02) Z(E)");
  EXPECT_EQ(wire.Query("rollback to savepoint s").Talk(), "E(25P02) Z(E)");
  EXPECT_EQ(wire.Query("show leasehold.tenant").Talk(), "E(25P02) Z(E)");
  EXPECT_EQ(wire.Query("commit; insert into lost values (4)").Talk(), "E(08006) Z(I)");
  // All sent before.
  wire.Query("begin; select pg_sleep(60)").Query("insert into lost values (5)").Query("commit").Query("select 7");
  wire.Send();
  KillWhoSleeps();
  EXPECT_THAT(wire.Talk(), testing::EndsWith("E(57P01) Z(E)"));
  EXPECT_EQ(wire.Talk(), "E(57P01) Z(E)");
  EXPECT_EQ(wire.Talk(), "E(57P01) Z(I)");
  EXPECT_EQ(wire.Talk(), "E(57P01) Z(I)");
  // Between two statements, and ended by the extended protocol.
  wire.Query("begin").Talk();
  KillServers();
  EXPECT_EQ(wire.Sync().Talk(), "Z(E)");
  EXPECT_EQ(wire.Parse("", "insert into lost values (6)").Bind("").Execute().Sync().Talk(), "E(57P01) Z(E)");
  EXPECT_EQ(wire.Parse("", "rollback").Bind("").Execute().Sync().Talk(), "1 2 C(ROLLBACK) Z(I)");
  EXPECT_EQ(wire.Query("select count(*) from lost").Talk(), "T1 D(0) C(SELECT 1) Z(I)");
}

// Its last words are nobody's answer: who has not sent a Sync yet is told as well, and once.
TEST_F(LostTest, AServerThatDiesInABatchWithoutItsEnd) {
  Client client = Connect();
  Wire wire(client);
  EXPECT_EQ(wire.Parse("", "select pg_sleep(60)").Bind("").Flush().Execute().Talk('2'), "1 2");
  KillWhoSleeps();
  EXPECT_EQ(wire.Talk('E'), "E(57P01)");
  EXPECT_EQ(wire.Parse("", "select 4").Bind("").Execute().Sync().Talk(), "Z(I)");
  EXPECT_EQ(wire.Query("select 4").Talk(), "T1 D(4) C(SELECT 1) Z(I)");
}

// libpq, for one, takes an error for a notice while it waits for nothing, and would wait for ever after.
TEST_F(LostTest, AServerThatDiesInABatchThatWaitsForNothing) {
  Client client = Connect();
  Wire wire(client);
  for (const bool says_more : {true, false}) {
    ASSERT_EQ(wire.Parse("", "select 1").Bind("").Execute().Flush().Talk('C'), "1 2 D(1) C(SELECT 1)");
    KillServers();
    if (says_more) {
      EXPECT_EQ(wire.Parse("", "select 2").Bind("").Execute().Flush().Talk('E'), "E(57P01)");
    }
    EXPECT_EQ(wire.Sync().Talk(), says_more ? "Z(I)" : "E(57P01) Z(I)");
    EXPECT_EQ(wire.Query("select 4").Talk(), "T1 D(4) C(SELECT 1) Z(I)");
  }
}

// A session that goes on has what it was told it has.
TEST_F(LostTest, SettingsThatAreLostWithTheirServerEndTheSession) {
  Client client = Connect();
  Wire wire(client);
  wire.Query("set timezone = 'Asia/Tokyo'").Query("select pg_sleep(60)");
  EXPECT_THAT(wire.Talk(), testing::EndsWith("C(SET) Z(I)"));
  KillWhoSleeps();
  EXPECT_THAT(wire.Talk(), testing::EndsWith("E(57P01) lost"));
}

// What PostgreSQL lets through in a failed transaction ends one that is lost, and nothing before that does; drivers put
// the ROLLBACK behind a Close, or into a statement that they have prepared.
TEST_F(LostTest, IsEndedByWhatIsRunAlone) {
  Client client = Connect();
  Wire wire(client);
  wire.Query("create table lost (a int)").Talk();
  EXPECT_EQ(wire.Parse("undo", "rollback").Parse("s", "select 1").Parse("done", "commit").Sync().Talk(), "1 1 1 Z(I)");
  const auto lose = [&] {
    wire.Query("begin").Talk();
    KillServers();
  };
  lose();
  EXPECT_EQ(wire.Parse("", "rollback").Sync().Talk(), "1 Z(E)");
  EXPECT_EQ(wire.Bind("").Sync().Talk(), "2 Z(E)");
  EXPECT_EQ(wire.Bind("undo").Describe('P').Sync().Talk(), "2 n Z(E)");
  EXPECT_EQ(wire.Parse("more", "rollback").Sync().Talk(), "1 Z(E)");
  EXPECT_EQ(wire.Describe('S', "undo").Sync().Talk(), "t n Z(E)");
  EXPECT_EQ(wire.Describe('S', "s").Sync().Talk(), "E(57P01) Z(E)");
  EXPECT_EQ(wire.Query("").Talk(), "I Z(E)");
  EXPECT_EQ(wire.Query("insert into lost values (1)").Talk(), "E(25P02) Z(E)");
  EXPECT_EQ(wire.Close("s").Parse("", "rollback").Bind("").Describe('P').Execute().Sync().Talk(),
            "3 1 2 n C(ROLLBACK) Z(I)");
  lose();
  EXPECT_EQ(wire.Parse("", "rollback; select 1").Bind("").Execute().Sync().Talk(), "E(57P01) Z(E)");
  EXPECT_EQ(wire.Bind("undo").Execute().Sync().Talk(), "2 C(ROLLBACK) Z(I)");
  lose();
  EXPECT_EQ(wire.Bind("done").Execute().Sync().Talk(), "2 E(08006) Z(I)");
  lose();
  EXPECT_EQ(wire.Query("rollback; select 7").Talk(), "C(ROLLBACK) T1 D(7) C(SELECT 1) Z(I)");
  // It was one of the server's all along, and is again.
  EXPECT_EQ(wire.Query("begin").Query("insert into lost values (2)").Talk(), "C(BEGIN) Z(T)");
  EXPECT_EQ(wire.Talk(), "C(INSERT 0 1) Z(T)");
  EXPECT_EQ(wire.Bind("undo").Execute().Sync().Talk(), "2 C(ROLLBACK) Z(I)");
  EXPECT_EQ(wire.Query("select count(*) from lost").Talk(), "T1 D(0) C(SELECT 1) Z(I)");
  EXPECT_EQ(wire.Query("drop table lost").Talk(), "C(DROP TABLE) Z(I)");
}

TEST_F(LostTest, IsToldInPostgresqlsWords) {
  Client client = Connect();
  client.One("set idle_in_transaction_session_timeout = '100ms'");
  EXPECT_EQ(client.One("begin"), "BEGIN");
  EXPECT_TRUE(instance_->BackendsReach(0, absl::Seconds(5)));
  const auto told = client.Exec("select 1");
  EXPECT_EQ(Client::Show(told), "!25P03");
  EXPECT_THAT(PQresultErrorField(told.get(), PG_DIAG_MESSAGE_PRIMARY), testing::HasSubstr("idle-in-transaction"));
  EXPECT_EQ(client.One("select 1"), "!25P02");
  EXPECT_EQ(client.One("rollback"), "ROLLBACK");
  EXPECT_EQ(client.One("select 1"), "1");
}

}  // namespace
}  // namespace leasehold::gateway::testing_stack
