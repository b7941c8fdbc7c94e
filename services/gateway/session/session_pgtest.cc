// The relay: what goes through it, for stock clients and a real server.
#include <gmock/gmock.h>
#include <sys/socket.h>

#include <chrono>
#include <cstring>

#include "services/gateway/session/testing_stack.h"
#include "services/gateway/session/testing_wire.h"

namespace leasehold::gateway::testing_stack {
namespace {

class RelayTest : public EndpointTest {};

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
  EXPECT_EQ(Connect("options='-c application_name=leasehold.app'").One("show application_name"), "leasehold.app");
  EXPECT_THAT(Connect("options='-c leasehold.tenant=globex'").error(),
              testing::HasSubstr("leasehold settings cannot be given as command-line options"));
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

// PostgreSQL ends the COPY with an error, whoever would have answered.
TEST_F(RelayTest, StatementsInTheMiddleOfACopy) {
  Client client = Connect();
  ASSERT_EQ(client.One("create table taken(i int)"), "CREATE TABLE");
  for (const char* sql : {"show leasehold.tenant", "set leasehold.tenant = 'globex'", "select 1", "discard all"}) {
    Client copying = Connect();
    Wire wire(copying);
    EXPECT_EQ(wire.Query("copy taken from stdin").Talk('G'), "G");
    EXPECT_EQ(wire.Query(sql).Talk(), "E(08P01) Z(I)") << sql;
    EXPECT_EQ(wire.Query("show leasehold.tenant").Talk(), "T1 D(acme) C(SHOW) Z(I)") << sql;
    EXPECT_EQ(wire.Parse("", "copy taken from stdin").Bind("").Execute().Sync().Talk('G'), "1 2 G");
    EXPECT_EQ(wire.Parse("", sql).Bind("").Execute().Sync().Talk(), "E(08P01) Z(I)") << sql;
    EXPECT_EQ(wire.Query("show leasehold.tenant").Talk(), "T1 D(acme) C(SHOW) Z(I)") << sql;
    EXPECT_EQ(wire.Query("copy taken from stdin").Talk('G'), "G") << "and its client goes";
  }
  ASSERT_EQ(PQresultStatus(client.Exec("copy taken from stdin").get()), PGRES_COPY_IN);
  PQfinish(PQconnectdb(Dsn("lh1.acme", acme_).c_str()));
  EXPECT_EQ(PQputCopyEnd(client.get(), nullptr), 1);
  while (PGresult* result = PQgetResult(client.get())) PQclear(result);
  EXPECT_EQ(client.One("drop table taken"), "DROP TABLE");
}

// What is sent before PostgreSQL has asked for data waits for an answer that only the client could bring about.
TEST_F(RelayTest, WhatIsSentBehindACopyAtOnce) {
  Client admin = instance_->Admin("tenant_acme_identity");
  ASSERT_EQ(admin.One("create table hasty(i int); grant all on hasty to public"), "GRANT");
  {
    Client client = Connect();
    Wire wire(client);
    EXPECT_EQ(wire.Query("copy hasty from stdin").Query("set leasehold.tenant = 'globex'").Talk(), "G E(08P01) Z(I)");
    EXPECT_EQ(wire.Query("show leasehold.tenant").Talk(), "T1 D(acme) C(SHOW) Z(I)");
  }
  for (const bool extended : {false, true}) {
    for (const bool at_once : {false, true}) {
      Client client = Connect();
      Wire wire(client);
      if (extended) {
        wire.Parse("", "copy hasty from stdin").Bind("").Execute().Flush();
      } else {
        wire.Query("copy hasty from stdin");
      }
      if (!at_once) {
        EXPECT_EQ(wire.Talk('G'), extended ? "1 2 G" : "G");
      }
      ASSERT_TRUE(wire.CopyData("1\n").Terminate().Send());
      EXPECT_TRUE(instance_->BackendsReach(1, absl::Seconds(10))) << "but for this test's own " << extended << at_once;
    }
  }
  EXPECT_EQ(admin.One("select count(*) from hasty"), "0");
  EXPECT_EQ(admin.One("drop table hasty"), "DROP TABLE");
}

// More than the gateway keeps count of: who sends so much waits for answers in between, whoever gives them.
TEST_F(RelayTest, AVeryLongPipeline) {
  Client client = Connect();
  Wire wire(client);
  constexpr int kSteps = 10'000;
  for (int i = 0; i < kSteps; ++i) wire.Parse("", "select 1").Bind("");
  EXPECT_THAT(wire.Sync().Talk(), testing::EndsWith("1 2 Z(I)"));
  // These the gateway answers, behind one of the server's.
  wire.Parse("one", "select 1");
  for (int i = 0; i < kSteps; ++i) wire.Close("none");
  EXPECT_THAT(wire.Sync().Talk(), testing::EndsWith("3 3 Z(I)"));
  for (int i = 0; i < kSteps; ++i) wire.Sync();
  wire.Query("select 'last'");
  for (int i = 0; i < kSteps; ++i) ASSERT_EQ(wire.Talk(), "Z(I)") << i;
  EXPECT_EQ(wire.Talk(), "T1 D(last) C(SELECT 1) Z(I)");
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

TEST_F(RelayTest, ASlowWriterHoldsNobodyUp) {
  Begin({.max_connections = 1});
  Client slow = Connect();
  Wire wire(slow);
  wire.Query("select 'at last'");
  for (const size_t bytes : {1uz, 3uz, 8uz}) {
    ASSERT_TRUE(wire.Send(bytes));
    Client other = Connect();
    EXPECT_EQ(other.One("select 1"), "1") << "on the only server";
  }
  EXPECT_EQ(wire.Talk(), "T1 D(at last) C(SELECT 1) Z(I)");
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
  int in_a_row = 0;  // it comes to it in steps, as buffers fill
  while (in_a_row < 20 && absl::Now() < end) {
    in_a_row = admin.One(blocked) == "1" ? in_a_row + 1 : 0;
    absl::SleepFor(absl::Milliseconds(5));
  }
  EXPECT_EQ(in_a_row, 20);
  const std::string exposed = metrics_->Expose();
  EXPECT_THAT(exposed, testing::HasSubstr("leasehold_sql_server_connections{service=\"identity\"} 1"));
}

}  // namespace
}  // namespace leasehold::gateway::testing_stack
