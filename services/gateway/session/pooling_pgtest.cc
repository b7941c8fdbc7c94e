// Many clients on few servers: what follows a client, what stays behind, and who gets the next server.
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "services/gateway/session/testing_stack.h"

namespace leasehold::gateway::testing_stack {
namespace {

using testing::HasSubstr;
using testing::Not;

class PoolingTest : public EndpointTest {
 protected:
  static std::string Prepared(Client& client, const char* name, const std::vector<const char*>& values = {}) {
    return Client::Show(Client::Result(
        PQexecPrepared(client.get(), name, static_cast<int>(values.size()), values.data(), nullptr, nullptr, 0),
        PQclear));
  }
  static std::string Pid(Client& client) { return client.One("select pg_backend_pid()"); }
};

TEST_F(PoolingTest, IdleClientsShareAServer) {
  Client one = Connect();
  Client two = Connect();
  EXPECT_EQ(Pid(one), Pid(two));
  EXPECT_EQ(instance_->Backends(), 1);
}

TEST_F(PoolingTest, FortyClientsOnThreeServers) {
  Begin({.max_connections = 3});
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      std::vector<Client> clients;
      for (int i = 0; i < 5; ++i) clients.push_back(Connect(std::format("application_name=app{}_{}", t, i)));
      for (int i = 0; i < 5; ++i) {
        PQclear(PQprepare(clients[static_cast<size_t>(i)].get(), "s",
                          std::format("select {}, current_setting('application_name')", i).c_str(), 0, nullptr));
      }
      for (int round = 0; round < 20; ++round) {
        for (int i = 0; i < 5; ++i) {
          Client& client = clients[static_cast<size_t>(i)];
          const Client::Result result(PQexecPrepared(client.get(), "s", 0, nullptr, nullptr, nullptr, 0), PQclear);
          if (PQresultStatus(result.get()) != PGRES_TUPLES_OK || PQgetvalue(result.get(), 0, 0) != std::to_string(i) ||
              PQgetvalue(result.get(), 0, 1) != std::format("app{}_{}", t, i)) {
            ++wrong;
          }
        }
      }
    });
  }
  Client admin = instance_->Admin();
  int most = 0;
  for (int i = 0; i < 50; ++i) most = std::max(most, instance_->Backends());
  threads.clear();
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(most, 3);
}

TEST_F(PoolingTest, SettingsFollowTheirClientAndNobodyElse) {
  Begin({.max_connections = 1});
  Client one = Connect("options='-c statement_timeout=5s'");
  Client two = Connect();
  one.One("set search_path = one, public");
  one.One("begin");
  one.One("set timezone = 'Asia/Tokyo'");
  one.One("set datestyle = 'German'");
  one.One("rollback");
  one.One("begin; set intervalstyle = 'iso_8601'; commit");
  one.OneBound("select set_config('app.user', $1, false)", {"ann"});
  one.OneBound("select set_config($1, $2, $3)", {"app.group", "staff", "false"});
  EXPECT_EQ(two.One("show search_path"), "\"$user\", public");
  EXPECT_EQ(two.One("select current_setting('app.user', true)"), "");
  EXPECT_EQ(two.One("select current_setting('app.group', true)"), "");
  EXPECT_EQ(two.One("show statement_timeout"), "0");
  EXPECT_EQ(two.One("show intervalstyle"), "postgres");
  EXPECT_EQ(one.One("show search_path"), "one, public");
  EXPECT_NE(one.One("show timezone"), "Asia/Tokyo");
  EXPECT_EQ(one.One("show intervalstyle"), "iso_8601");
  EXPECT_EQ(one.One("select current_setting('app.user')"), "ann");
  EXPECT_EQ(one.One("select current_setting('app.group')"), "staff");
  EXPECT_EQ(one.One("show statement_timeout"), "5s");
  one.One("set statement_timeout = '7s'");
  EXPECT_EQ(two.One("show statement_timeout"), "0");
  one.One("reset statement_timeout");
  EXPECT_EQ(two.One("select 1"), "1");
  EXPECT_EQ(one.One("show statement_timeout"), "5s");  // back to what it logged in with
  one.One("discard all");
  EXPECT_EQ(one.One("show search_path"), "\"$user\", public");
  EXPECT_EQ(one.One("show statement_timeout"), "5s");
}

TEST_F(PoolingTest, ARefusedSetLeavesNothing) {
  Begin({.max_connections = 1});
  Client one = Connect();
  Client two = Connect();
  EXPECT_EQ(one.One("set log_statement = 'all'"), "!42501");
  EXPECT_EQ(one.One("select set_config('session_replication_role', 'replica', false)"), "!42501");
  EXPECT_EQ(one.One("set transaction_read_only = on"), "SET");
  EXPECT_EQ(one.One("select 1"), "1");
  EXPECT_EQ(two.One("create table made (i int)"), "CREATE TABLE");
  EXPECT_EQ(two.One("drop table made"), "DROP TABLE");
}

TEST_F(PoolingTest, WhatFunctionsLeaveBehindIsCleanedUp) {
  Begin({.max_connections = 1});
  Client one = Connect();
  Client two = Connect();
  one.One(
      "create or replace function mess() returns void language plpgsql as $$ begin "
      "perform set_config('search_path', 'mess', false); create temp table left_behind (); "
      "perform pg_advisory_lock(42); execute 'listen mess'; end $$");
  const std::string pid = Pid(one);
  EXPECT_EQ(one.One("select mess()"), "");
  EXPECT_EQ(Pid(two), pid);
  EXPECT_EQ(two.One("show search_path"), "\"$user\", public");
  EXPECT_EQ(two.One("select to_regclass('left_behind') is null"), "t");
  EXPECT_EQ(two.One("select count(*) from pg_locks where locktype = 'advisory'"), "0");
  EXPECT_EQ(two.One("select count(*) from pg_listening_channels()"), "0");
  EXPECT_EQ(one.One("do $$ begin perform set_config('work_mem', '1234kB', false); end $$"), "DO");
  EXPECT_NE(two.One("show work_mem"), "1234kB");
  one.One("drop function mess");
}

TEST_F(PoolingTest, WhatNeedsASessionKeepsItsServer) {
  const std::vector<std::pair<std::string, std::string>> reasons = {
      {"listen news", "LISTEN"},
      {"create temp table t (i int)", "temporary tables"},
      {"select pg_advisory_lock(7)", "advisory locks"},
      {"declare c cursor with hold for select generate_series(1, 3)", "cursors WITH HOLD"},
      {"prepare p as select 1", "PREPARE"},
  };
  for (const auto& [sql, reason] : reasons) {
    Begin({.max_connections = 2});
    Client one = Connect();
    Client two = Connect();
    EXPECT_EQ(one.One("show leasehold.pinned"), "");
    one.One(sql);
    EXPECT_EQ(one.One("show leasehold.pinned"), reason);
    EXPECT_THAT(one.error(), HasSubstr("keeps its server connection: " + reason));
    const std::string pid = Pid(one);
    EXPECT_NE(Pid(two), pid) << sql;
    EXPECT_EQ(Pid(one), pid);
    EXPECT_EQ(one.One("discard all"), "DISCARD ALL");
    EXPECT_EQ(one.One("show leasehold.pinned"), "");
    EXPECT_EQ(two.One("select count(*) from pg_locks where locktype = 'advisory'"), "0");
  }
}

TEST_F(PoolingTest, AServerIsGivenUpWithTheLastReasonToKeepIt) {
  Begin({.max_connections = 1, .patience = absl::Milliseconds(200)});
  Client one = Connect();
  Client two = Connect();
  const auto kept = [&] { return two.One("select 1") == "!53300"; };
  const auto given_up = [&] {
    for (int i = 0; i < 50; ++i) {
      if (!kept()) return true;
    }
    return false;
  };
  struct Case {
    std::vector<std::string> keep;  // each of them keeps it
    std::string last;
  };
  for (const Case& c : {
           Case{{"listen a; listen b", "unlisten a"}, "unlisten b"},
           Case{{"listen a", "unlisten *; listen b"}, "unlisten *"},
           Case{{"listen a", "begin; unlisten *; rollback"}, "unlisten a"},
           Case{{"create temp table t (i serial)", "create temp view v as select 1", "drop table t"}, "drop view v"},
           Case{{"create temp table t (i int)", "drop table if exists nothing"}, "discard temp"},
           Case{{"create function pg_temp.f() returns int language sql as 'select 1'"}, "drop function pg_temp.f()"},
           Case{{"begin; create temp table t (i int)"}, "rollback"},
           Case{{"begin; create temp table t (i int)", "select 1/0"}, "commit"},
           Case{{"select pg_advisory_lock(1)", "select pg_advisory_lock(1)", "select pg_advisory_unlock(1)"},
                "select pg_advisory_unlock(1)"},
           Case{{"select pg_advisory_lock(1), pg_advisory_lock_shared(2)", "select pg_advisory_unlock(1)"},
                "select pg_advisory_unlock_all()"},
           Case{{"declare c cursor with hold for select 1", "declare d cursor with hold for select 1", "close c"},
                "close d"},
           Case{{"declare c cursor with hold for select 1"}, "close all"},
           Case{{"prepare p as select 1", "prepare q as select 1", "deallocate p"}, "deallocate q"},
       }) {
    for (const std::string& sql : c.keep) {
      one.One(sql);
      EXPECT_TRUE(kept()) << sql;
    }
    EXPECT_NE(one.One(c.last)[0], '!') << c.last << one.error();
    EXPECT_TRUE(given_up()) << c.last;
    EXPECT_EQ(one.One("show leasehold.pinned"), "") << c.last;
  }
  // In a transaction of its own it changes nothing before that ends.
  one.One("listen a");
  one.One("begin");
  one.One("unlisten *");
  EXPECT_EQ(one.One("show leasehold.pinned"), "LISTEN");
  EXPECT_EQ(one.One("commit"), "COMMIT");
  EXPECT_TRUE(given_up());
}

TEST_F(PoolingTest, NotificationsReachAListenerWhoKnowsItsOwn) {
  Client listener = Connect();
  Client speaker = Connect();
  listener.One("listen news");
  const auto next = [&listener] {
    const absl::Time end = absl::Now() + absl::Seconds(5);
    PGnotify* notice = nullptr;
    while (notice == nullptr && absl::Now() < end) {
      PQconsumeInput(listener.get());
      notice = PQnotifies(listener.get());
    }
    return std::unique_ptr<PGnotify, decltype(&PQfreemem)>(notice, PQfreemem);
  };
  speaker.One("notify news, 'hello'");
  const auto hello = next();
  ASSERT_NE(hello, nullptr);
  EXPECT_STREQ(hello->extra, "hello");
  EXPECT_NE(hello->be_pid, PQbackendPID(listener.get()));
  listener.One("notify news, 'to myself'; select 1");
  const auto own = next();
  ASSERT_NE(own, nullptr);
  EXPECT_STREQ(own->relname, "news");
  EXPECT_STREQ(own->extra, "to myself");
  EXPECT_EQ(own->be_pid, PQbackendPID(listener.get()));
  EXPECT_EQ(listener.One("select 2"), "2");
}

TEST_F(PoolingTest, PreparedStatementsFollowTheirClient) {
  Begin({.max_connections = 2});
  Client one = Connect();
  Client two = Connect();
  PQclear(PQprepare(one.get(), "s", "select 'one', $1::int", 0, nullptr));
  PQclear(PQprepare(two.get(), "s", "select 'two', $1::int", 0, nullptr));
  EXPECT_EQ(Prepared(one, "s", {"1"}), "one");
  EXPECT_EQ(Prepared(two, "s", {"1"}), "two");
  one.One("begin");  // takes the server that both have used; the other has to do with a new one
  EXPECT_EQ(Prepared(two, "s", {"2"}), "two");
  EXPECT_EQ(Prepared(one, "s", {"2"}), "one");
  one.One("commit");
  EXPECT_EQ(Prepared(one, "nobody"), "!26000");
  EXPECT_EQ(Prepared(one, "leasehold_1"), "!26000");
  EXPECT_EQ(Client::Show(Client::Result(PQprepare(one.get(), "s", "select 3", 0, nullptr), PQclear)), "!42P05");
  EXPECT_EQ(Prepared(one, "s", {"3"}), "one");
  EXPECT_EQ(Client::Show(Client::Result(PQprepare(one.get(), "bad", "select nonsense", 0, nullptr), PQclear)),
            "!42703");
  EXPECT_EQ(Prepared(one, "bad"), "!26000");
  EXPECT_EQ(Client::Show(Client::Result(PQprepare(one.get(), "bad", "select 'good'", 0, nullptr), PQclear)), "");
  EXPECT_EQ(Prepared(one, "bad"), "good");
  EXPECT_EQ(one.One("deallocate s"), "DEALLOCATE");
  EXPECT_EQ(Prepared(one, "s", {"4"}), "!26000");
  EXPECT_EQ(Prepared(two, "s", {"4"}), "two");
}

TEST_F(PoolingTest, TheUnnamedStatementIsEachClientsOwn) {
  Begin({.max_connections = 1});
  Client one = Connect();
  Client two = Connect();
  Client three = Connect();
  PQclear(PQprepare(one.get(), "", "select 'one'", 0, nullptr));
  PQclear(PQprepare(two.get(), "", "select 'two'", 0, nullptr));
  EXPECT_EQ(Prepared(one, ""), "one");
  EXPECT_EQ(Prepared(two, ""), "two");
  EXPECT_EQ(Prepared(three, ""), "!26000");  // it has none, and does not get another's
  one.One("select 1");                       // destroys it, as in PostgreSQL
  EXPECT_EQ(Prepared(one, ""), "!26000");
}

TEST_F(PoolingTest, ManyStatementsOnOneServerPushEachOtherOut) {
  Begin({.max_connections = 1, .max_prepared_statements = 5});
  Client client = Connect();
  for (int i = 0; i < 12; ++i) {
    PQclear(PQprepare(client.get(), std::to_string(i).c_str(), std::format("select {}", i).c_str(), 0, nullptr));
  }
  for (const int i : {0, 11, 5, 0, 3}) EXPECT_EQ(Prepared(client, std::to_string(i).c_str()), std::to_string(i));
  EXPECT_EQ(client.One("select count(*) <= 5 from pg_prepared_statements"), "t");
}

TEST_F(PoolingTest, ATenantThatFloodsLeavesRoomForAnother) {
  Begin({.max_connections = 4});
  std::atomic<bool> stop = false;
  std::vector<std::jthread> flood;
  for (int i = 0; i < 16; ++i) {
    flood.emplace_back([&] {
      Client client = Connect();
      while (!stop) client.One("select pg_sleep(0.02)");
    });
  }
  ASSERT_TRUE(instance_->BackendsReach(4, absl::Seconds(10)));
  const std::string password = authority_.Lease("lh1.globex", {.home = "globex"});
  Client other(Dsn("lh1.globex", password));
  ASSERT_TRUE(other.ok()) << other.error();
  absl::Duration worst;
  for (int i = 0; i < 30; ++i) {
    const absl::Time start = absl::Now();
    ASSERT_EQ(other.One("select 1"), "1");
    worst = std::max(worst, absl::Now() - start);
  }
  // With one line for all it would stand behind sixteen times 20 ms of others, each time.
  EXPECT_LT(worst, absl::Milliseconds(500));
  EXPECT_LE(instance_->Backends(), 4);
  stop = true;
}

TEST_F(PoolingTest, MoreTenantsThanServersTakeTurns) {
  Begin({.max_connections = 1});
  std::vector<std::jthread> threads;
  std::atomic<int> done = 0;
  for (const std::string tenant : {"acme", "globex", "initech"}) {
    const std::string user = "lh1." + tenant;
    const std::string password = authority_.Lease(user, {.home = tenant});
    threads.emplace_back([&, user, password, tenant] {
      Client client(Dsn(user, password));
      for (int i = 0; i < 10; ++i) {
        if (client.One("select current_database()") == "tenant_" + tenant + "_identity") ++done;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(done, 30);
}

TEST_F(PoolingTest, ATenantsOwnLimitIsNamed) {
  Begin({.max_connections = 5, .patience = absl::Milliseconds(300), .tenant_max_connections = 1});
  Client one = Connect();
  Client two = Connect();
  one.One("begin");
  const auto refused = two.Exec("select 1");
  EXPECT_EQ(Client::Show(refused), "!53300");
  EXPECT_THAT(PQresultErrorMessage(refused.get()), HasSubstr("tenant_max_connections"));
  const std::string text = metrics_->Expose();
  EXPECT_THAT(text, HasSubstr("leasehold_sql_query_seconds_count{service=\"identity\"} 2\n"))
      << "begin, and the refused";
  EXPECT_THAT(text, HasSubstr("leasehold_sql_query_seconds_bucket{service=\"identity\",le=\"0.25\"} 1\n"));
  EXPECT_EQ(one.One("commit"), "COMMIT");
  EXPECT_EQ(two.One("select 1"), "1");
}

TEST_F(PoolingTest, ACancelOfAWaitingClientEndsItsWait) {
  Begin({.max_connections = 1});
  Client one = Connect();
  Client two = Connect();
  one.One("begin");
  PGcancel* cancel = PQgetCancel(two.get());
  ASSERT_EQ(PQsendQuery(two.get(), "select 1"), 1);
  while (metrics_->Expose().find("leasehold_sql_server_connection_waiting{service=\"identity\"} 1") ==
         std::string::npos) {
  }
  char why[256];
  EXPECT_EQ(PQcancel(cancel, why, sizeof(why)), 1);
  EXPECT_EQ(Client::Show(Client::Result(PQgetResult(two.get()), PQclear)), "!57014");
  while (PGresult* result = PQgetResult(two.get())) PQclear(result);
  EXPECT_EQ(one.One("commit"), "COMMIT");
  EXPECT_EQ(two.One("select 2"), "2");
  PQfreeCancel(cancel);
}

TEST_F(PoolingTest, MetricsNameTheBusiestTenants) {
  Begin({.metrics_tenants = 1});
  Client acme = Connect();
  Client globex(Dsn("lh1.globex", authority_.Lease("lh1.globex", {.home = "globex"})));
  ASSERT_EQ(acme.One("select 1"), "1");
  for (int i = 0; i < 20; ++i) ASSERT_EQ(globex.One("select 1"), "1");
  const std::string text = metrics_->Expose();
  EXPECT_THAT(text, HasSubstr("leasehold_sql_tenant_clients{service=\"identity\",tenant=\"globex\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("leasehold_sql_tenant_query_seconds_count{service=\"identity\",tenant=\"globex\"} 20\n"));
  EXPECT_THAT(text, Not(HasSubstr("acme")));
  EXPECT_THAT(text, HasSubstr("leasehold_sql_clients{service=\"identity\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("leasehold_sql_query_seconds_count{service=\"identity\"} 21\n"));

  Begin({.metrics_tenants = 0});
  Client nobody = Connect();
  EXPECT_THAT(metrics_->Expose(), Not(HasSubstr("tenant=")));
  const std::unique_ptr<Metrics> metrics = std::move(metrics_);
  endpoint_.reset();
  EXPECT_THAT(metrics->Expose(), Not(HasSubstr("leasehold_sql_clients"))) << "there is nobody left to ask";
}

TEST_F(PoolingTest, ARestartOfTheInstanceIsWaitedOut) {
  Begin({.patience = absl::Seconds(20)});
  Client client = Connect();
  ASSERT_EQ(client.One("select 1"), "1");
  instance_->server().Stop();
  std::string answer;
  std::jthread asks([&] { answer = client.One("select 2"); });
  ASSERT_TRUE(instance_->server().Restart().ok());
  asks.join();
  EXPECT_EQ(answer, "2");
}

}  // namespace
}  // namespace leasehold::gateway::testing_stack
