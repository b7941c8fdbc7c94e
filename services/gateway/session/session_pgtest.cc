// The relay: what goes through it, for stock clients and a real server.
#include <gmock/gmock.h>
#include <sys/socket.h>

#include <chrono>
#include <cstring>
#include <future>
#include <thread>

#include "services/gateway/session/testing_stack.h"
#include "services/gateway/session/testing_wire.h"

namespace leasehold::gateway::testing_stack {
namespace {

class RelayTest : public EndpointTest {
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

TEST_F(RelayTest, RowsParametersAndErrors) {
  Client client = Connect();
  ASSERT_TRUE(client.ok()) << client.error();
  EXPECT_EQ(client.One("select current_database()"), "tenant_acme_identity");
  EXPECT_EQ(client.One("select current_user"), "tenant_acme_identity");
  EXPECT_EQ(client.OneBound("select $1::int + 1", {"41"}), "42");
  EXPECT_EQ(client.One("select nonsense"), "!42703");
  EXPECT_EQ(client.One("select 1"), "1");
  EXPECT_EQ(client.One("select current_setting('leasehold.tenant') || '!'"), "acme!");
  EXPECT_EQ(client.One("begin"), "BEGIN");
  EXPECT_EQ(PQtransactionStatus(client.get()), PQTRANS_INTRANS);
  EXPECT_EQ(client.One("select 1/0"), "!22012");
  EXPECT_EQ(PQtransactionStatus(client.get()), PQTRANS_INERROR);
  EXPECT_EQ(client.One("rollback"), "ROLLBACK");
  EXPECT_EQ(client.One(""), "!lost");  // libpq knows an empty query by a status of its own
  EXPECT_TRUE(client.ok());
}

TEST_F(RelayTest, ParametersOfTheServerAndSettingsOfTheClient) {
  Client client = Connect("application_name=payroll options='-c work_mem=12345'");
  ASSERT_TRUE(client.ok()) << client.error();
  EXPECT_STREQ(PQparameterStatus(client.get(), "application_name"), "payroll");
  EXPECT_NE(PQparameterStatus(client.get(), "server_version"), nullptr);
  EXPECT_EQ(client.One("show work_mem"), "12345kB");
  const Client bad = Connect("options='-c work_mem=lots'");
  EXPECT_FALSE(bad.ok());
  EXPECT_THAT(bad.error(), testing::HasSubstr("work_mem"));
}

TEST_F(RelayTest, FiftyMegabytesGoThroughBothWays) {
  Client client = Connect();
  const size_t size = 50 << 20;
  const auto big = client.Exec("select repeat('x', 50*1024*1024)");
  ASSERT_EQ(PQresultStatus(big.get()), PGRES_TUPLES_OK);
  EXPECT_EQ(static_cast<size_t>(PQgetlength(big.get(), 0, 0)), size);
  const std::string text(size, 'y');
  EXPECT_EQ(client.OneBound("select length($1::text)", {text.c_str()}), std::to_string(size));
  EXPECT_EQ(client.One("select length('" + text + "')"), std::to_string(size));
}

TEST_F(RelayTest, CopyBothWays) {
  Client client = Connect();
  ASSERT_EQ(client.One("create temp table t(i int)"), "CREATE TABLE");
  for (const bool extended : {false, true}) {
    const auto begin = extended ? client.ExecParams("copy t from stdin", {}) : client.Exec("copy t from stdin");
    ASSERT_EQ(PQresultStatus(begin.get()), PGRES_COPY_IN);
    std::string rows;
    for (int i = 0; i < 50'000; ++i) rows += std::to_string(i) + "\n";
    ASSERT_EQ(PQputCopyData(client.get(), rows.data(), static_cast<int>(rows.size())), 1);
    ASSERT_EQ(PQputCopyEnd(client.get(), nullptr), 1);
    while (PGresult* result = PQgetResult(client.get())) PQclear(result);
    // The tracker must see that nothing is outstanding, or this would wait for ever.
    EXPECT_EQ(client.One("show leasehold.tenant"), "acme");
  }
  EXPECT_EQ(client.One("select count(*) from t"), "100000");
  const auto out = client.Exec("copy t to stdout");
  ASSERT_EQ(PQresultStatus(out.get()), PGRES_COPY_OUT);
  int rows = 0;
  char* line = nullptr;
  while (PQgetCopyData(client.get(), &line, 0) > 0) {
    ++rows;
    PQfreemem(line);
  }
  EXPECT_EQ(rows, 100'000);
  while (PGresult* result = PQgetResult(client.get())) PQclear(result);
  EXPECT_EQ(client.One("select 1"), "1");
  const auto failing = client.Exec("copy t from stdin");
  ASSERT_EQ(PQputCopyEnd(client.get(), "changed my mind"), 1);
  while (PGresult* result = PQgetResult(client.get())) PQclear(result);
  EXPECT_EQ(client.One("show leasehold.tenant"), "acme");
}

TEST_F(RelayTest, PipelineKeepsItsOrder) {
  Client client = Connect();
  ASSERT_EQ(PQenterPipelineMode(client.get()), 1);
  const auto send = [&client](const char* sql) {
    ASSERT_EQ(PQsendQueryParams(client.get(), sql, 0, nullptr, nullptr, nullptr, nullptr, 0), 1);
  };
  // Ours and PostgreSQL's, mixed within a batch and over batches.
  send("select 1");
  send("show leasehold.tenant");
  send("select 3");
  PQpipelineSync(client.get());
  send("show leasehold.tenant");
  PQpipelineSync(client.get());
  send("select 5");
  PQpipelineSync(client.get());
  std::string seen;
  for (int syncs = 0; syncs < 3;) {
    const Client::Result result(PQgetResult(client.get()), PQclear);
    if (!result) continue;
    if (PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC) {
      ++syncs;
      seen += "| ";
    } else {
      seen += Client::Show(result) + " ";
    }
  }
  EXPECT_EQ(seen, "1 acme 3 | acme | 5 | ");
}

TEST_F(RelayTest, ALongPipelineAndOneWithAFailure) {
  Client client = Connect();
  ASSERT_EQ(PQenterPipelineMode(client.get()), 1);
  ASSERT_EQ(PQsetnonblocking(client.get(), 1), 0);
  // So much of it at a time that neither side can take it all: reading goes on while sending does.
  const std::string filler(2'000, 'x');
  const int most = 3'000;
  int sent = 0;
  int answered = 0;
  bool synced = false;
  while (!synced) {
    if (sent < most && PQflush(client.get()) == 0) {
      const std::string number = std::to_string(sent);
      const char* const values[] = {number.c_str(), filler.c_str()};
      ASSERT_EQ(PQsendQueryParams(client.get(), "select $1::int, $2::text", 2, nullptr, values, nullptr, nullptr, 0),
                1);
      if (++sent == most) {
        ASSERT_EQ(PQpipelineSync(client.get()), 1);
      }
    }
    PQflush(client.get());
    ASSERT_EQ(PQconsumeInput(client.get()), 1) << client.error();
    while (PQisBusy(client.get()) == 0 && answered < sent + 1) {
      const Client::Result result(PQgetResult(client.get()), PQclear);
      if (!result) break;
      if (PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC) {
        synced = true;
        break;
      }
      ASSERT_EQ(Client::Show(result), std::to_string(answered));
      ++answered;
      PQclear(PQgetResult(client.get()));  // the end of this one's results
    }
  }
  EXPECT_EQ(answered, most);
  ASSERT_EQ(PQsetnonblocking(client.get(), 0), 0);
  std::string seen;
  for (const char* sql : {"select 1", "select 1/0", "select 3"}) {
    ASSERT_EQ(PQsendQueryParams(client.get(), sql, 0, nullptr, nullptr, nullptr, nullptr, 0), 1);
  }
  ASSERT_EQ(PQpipelineSync(client.get()), 1);
  for (bool done = false; !done;) {
    const Client::Result result(PQgetResult(client.get()), PQclear);
    if (!result) continue;
    done = PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC;
    if (done) break;
    seen += PQresultStatus(result.get()) == PGRES_PIPELINE_ABORTED ? "aborted " : Client::Show(result) + " ";
  }
  EXPECT_EQ(seen, "1 !22012 aborted ");
  ASSERT_EQ(PQexitPipelineMode(client.get()), 1) << client.error();
  EXPECT_EQ(client.One("select 1"), "1");
}

TEST_F(RelayTest, RowsOneByOneAndInChunks) {
  Client client = Connect();
  for (const bool chunks : {false, true}) {
    ASSERT_EQ(PQsendQuery(client.get(), "select i, repeat('z', 500) from generate_series(1, 20000) i"), 1);
    ASSERT_EQ(chunks ? PQsetChunkedRowsMode(client.get(), 64) : PQsetSingleRowMode(client.get()), 1);
    int64_t sum = 0;
    while (PGresult* const result = PQgetResult(client.get())) {
      for (int row = 0; row < PQntuples(result); ++row) sum += std::stoi(PQgetvalue(result, row, 0));
      PQclear(result);
    }
    EXPECT_EQ(sum, 20'000LL * 20'001 / 2);
  }
}

TEST_F(RelayTest, SavepointsOutliveErrors) {
  Client client = Connect();
  client.One("create table kept (i int primary key)");
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(client.One("begin"), "BEGIN");
    ASSERT_EQ(client.OneBound("insert into kept values ($1::int)", {"1"}), "INSERT 0 1");
    ASSERT_EQ(client.One("savepoint s"), "SAVEPOINT");
    ASSERT_EQ(client.OneBound("insert into kept values ($1::int)", {"1"}), "!23505");
    ASSERT_EQ(client.OneBound("select $1::int", {"1"}), "!25P02");
    ASSERT_EQ(client.One("rollback to s"), "ROLLBACK");
    ASSERT_EQ(client.One("select count(*) from kept"), "1");
    ASSERT_EQ(client.One(i % 2 == 0 ? "rollback" : "commit; delete from kept"), i % 2 == 0 ? "ROLLBACK" : "DELETE 1");
  }
  client.One("drop table kept");
}

TEST_F(RelayTest, AnErrorOfOursEndsThePipelinesBatchAndItsTransaction) {
  Client client = Connect();
  ASSERT_EQ(client.One("create temp table kept(i int)"), "CREATE TABLE");
  ASSERT_EQ(PQenterPipelineMode(client.get()), 1);
  const auto send = [&client](const char* sql) {
    ASSERT_EQ(PQsendQueryParams(client.get(), sql, 0, nullptr, nullptr, nullptr, nullptr, 0), 1);
  };
  send("insert into kept values (1)");
  send("set leasehold.tenant = 'globex'");  // would lose the insert: 25001
  send("insert into kept values (2)");
  PQpipelineSync(client.get());
  send("select count(*) from kept");
  PQpipelineSync(client.get());
  std::string seen;
  for (int syncs = 0; syncs < 2;) {
    const Client::Result result(PQgetResult(client.get()), PQclear);
    if (!result) continue;
    if (PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC) {
      ++syncs;
      seen += "| ";
    } else if (PQresultStatus(result.get()) == PGRES_PIPELINE_ABORTED) {
      seen += "aborted ";
    } else {
      seen += Client::Show(result) + " ";
    }
  }
  EXPECT_EQ(seen, "INSERT 0 1 !25001 aborted | 0 | ");
}

TEST_F(RelayTest, CancelStopsTheQueryAndNothingElse) {
  Client client = Connect();
  Client other = Connect();
  PGcancel* cancel = PQgetCancel(client.get());
  char why[256];
  // Nothing runs: nothing happens.
  EXPECT_EQ(PQcancel(cancel, why, sizeof(why)), 1);
  EXPECT_EQ(client.One("select 1"), "1");
  const auto start = std::chrono::steady_clock::now();
  ASSERT_EQ(PQsendQuery(other.get(), "select pg_sleep(0.7), 'kept'"), 1);
  ASSERT_EQ(PQsendQuery(client.get(), "select pg_sleep(30)"), 1);
  Client admin = instance_->Admin();
  while (
      admin.One("select count(*) from pg_stat_activity where query like 'select pg_sleep(30)%' and state = 'active'") !=
      "1") {
  }
  EXPECT_EQ(PQcancel(cancel, why, sizeof(why)), 1);
  EXPECT_EQ(Client::Show(Client::Result(PQgetResult(client.get()), PQclear)), "!57014");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  while (PGresult* result = PQgetResult(client.get())) PQclear(result);
  EXPECT_EQ(PQgetvalue(Client::Result(PQgetResult(other.get()), PQclear).get(), 0, 1), std::string("kept"));
  EXPECT_EQ(client.One("select 1"), "1");
  PQfreeCancel(cancel);
}

TEST_F(RelayTest, AClientThatDiesTakesItsQueryAlong) {
  auto client = std::make_unique<Client>(Dsn("lh1.acme", acme_));
  ASSERT_EQ(PQsendQuery(client->get(), "select pg_sleep(60)"), 1);
  Client admin = instance_->Admin();
  while (admin.One("select count(*) from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active'") !=
         "1") {
  }
  ::shutdown(PQsocket(client->get()), SHUT_RDWR);
  EXPECT_TRUE(instance_->BackendsReach(0, absl::Seconds(2)));
}

TEST_F(RelayTest, AServerThatDiesTakesOnlyItsTransactionAlong) {
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
  EXPECT_EQ(Client::Show(lost), "!08006");
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
TEST_F(RelayTest, WhoWasRefusedInATransactionHearsThatItIsLost) {
  Client client = Connect();
  Wire wire(client);
  ASSERT_EQ(wire.Query("begin").Talk(), "C(BEGIN) Z(T)");
  ASSERT_EQ(wire.Parse("", "set leasehold.tenant = 'globex'").Flush().Bind("").Execute().Flush().Talk('E'),
            "1 2 E(25001)");
  KillServers();
  EXPECT_EQ(wire.Sync().Talk(), "Z(E)");
  EXPECT_EQ(wire.Query("create table alone (a int)").Talk(), "E(08006) Z(E)");
  EXPECT_EQ(wire.Parse("", "create table alone (a int)").Bind("").Execute().Sync().Talk(), "E(25P02) Z(E)");
  EXPECT_EQ(wire.Query("commit").Talk(), "E(08006) Z(I)");
  EXPECT_EQ(wire.Query("select to_regclass('alone') is null").Talk(), "T1 D(t) C(SELECT 1) Z(I)");
}

// A second error behind the first is not heard by every client, but how the transaction stands is.
TEST_F(RelayTest, AServerThatDiesAfterAFailureOfItsTransaction) {
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
TEST_F(RelayTest, NothingOfALostTransactionRuns) {
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
  EXPECT_EQ(wire.Parse("", "insert into lost values (6)").Bind("").Execute().Sync().Talk(), "E(08006) Z(E)");
  EXPECT_EQ(wire.Parse("", "rollback").Bind("").Execute().Sync().Talk(), "1 2 C(ROLLBACK) Z(I)");
  EXPECT_EQ(wire.Query("select count(*) from lost").Talk(), "T1 D(0) C(SELECT 1) Z(I)");
}

// Its last words are nobody's answer: who has not sent a Sync yet is told as well, and once.
TEST_F(RelayTest, AServerThatDiesInABatchWithoutItsEnd) {
  Client client = Connect();
  Wire wire(client);
  EXPECT_EQ(wire.Parse("", "select pg_sleep(60)").Bind("").Flush().Execute().Talk('2'), "1 2");
  KillWhoSleeps();
  EXPECT_EQ(wire.Talk('E'), "E(57P01)");
  EXPECT_EQ(wire.Parse("", "select 4").Bind("").Execute().Sync().Talk(), "Z(I)");
  EXPECT_EQ(wire.Query("select 4").Talk(), "T1 D(4) C(SELECT 1) Z(I)");
}

// libpq, for one, takes an error for a notice while it waits for nothing, and would wait for ever after.
TEST_F(RelayTest, AServerThatDiesInABatchThatWaitsForNothing) {
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
TEST_F(RelayTest, SettingsThatAreLostWithTheirServerEndTheSession) {
  Client client = Connect();
  Wire wire(client);
  wire.Query("set timezone = 'Asia/Tokyo'").Query("select pg_sleep(60)");
  EXPECT_THAT(wire.Talk(), testing::EndsWith("C(SET) Z(I)"));
  KillWhoSleeps();
  EXPECT_THAT(wire.Talk(), testing::EndsWith("E(57P01) lost"));
}

TEST_F(RelayTest, ASlowReaderDoesNotFillOurMemory) {
  Client client = Connect();
  PQsetSingleRowMode(client.get());
  ASSERT_EQ(PQsendQuery(client.get(), "select repeat('x', 1000) from generate_series(1, 200000)"), 1);  // 200 MB
  Client admin = instance_->Admin();
  // Nobody reads: the server must come to a stop in its send, because we stopped reading from it.
  const std::string blocked =
      "select count(*) from pg_stat_activity where datname = 'tenant_acme_identity' and wait_event = 'ClientWrite'";
  const absl::Time end = absl::Now() + absl::Seconds(10);
  while (admin.One(blocked) != "1" && absl::Now() < end) absl::SleepFor(absl::Milliseconds(5));
  EXPECT_EQ(admin.One(blocked), "1");
  const std::string exposed = metrics_->Expose();
  EXPECT_THAT(exposed, testing::HasSubstr("leasehold_sql_server_connections{service=\"identity\"} 1"));
}

}  // namespace
}  // namespace leasehold::gateway::testing_stack
