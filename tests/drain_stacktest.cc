// The gateway is stopped, server processes die, instances restart: what SQL clients notice of it, and what is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <postgresql/libpq-fe.h>

#include <atomic>
#include <csignal>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(30);

// A libpq client that says what PostgreSQL would have said: the first value, the tag, or the SQLSTATE behind a "!".
class SqlClient {
 public:
  explicit SqlClient(const std::string& dsn) : connection_(PQconnectdb(dsn.c_str()), PQfinish) {
    // libpq takes a FATAL that it did not wait for, for a notice.
    PQsetNoticeReceiver(
        connection_.get(), [](void* self, const PGresult* notice) { static_cast<SqlClient*>(self)->Note(notice); },
        this);
  }
  SqlClient(const SqlClient&) = delete;
  SqlClient& operator=(const SqlClient&) = delete;

  bool connected() const { return PQstatus(connection_.get()) == CONNECTION_OK; }
  const std::string& text() const { return text_; }  // of the last error
  std::string last_words() const { return fatal_; }  // SQLSTATE of a FATAL

  std::string One(const std::string& sql) {
    Send(sql);
    return Answer();
  }
  void Send(const std::string& sql) { PQsendQuery(connection_.get(), sql.c_str()); }
  std::string Answer() {
    std::string answer = "!lost";
    bool any = false;
    while (PGresult* const result = PQgetResult(connection_.get())) {
      const ExecStatusType status = PQresultStatus(result);
      if (status == PGRES_TUPLES_OK) {
        answer = PQntuples(result) == 0 ? "" : PQgetvalue(result, 0, 0);
      } else if (status == PGRES_COMMAND_OK) {
        answer = PQcmdStatus(result);
      } else if (const char* const state = PQresultErrorField(result, PG_DIAG_SQLSTATE); state != nullptr || !any) {
        answer = absl::StrCat("!", state == nullptr ? "lost" : state);
        Note(result);
      }
      any = true;
      PQclear(result);
    }
    return answer;
  }
  // Reads until the server hangs up; its last words' SQLSTATE.
  std::string AwaitEnd() {
    const absl::Time end = absl::Now() + kPatience;
    while (absl::Now() < end && PQsocket(connection_.get()) >= 0) {
      pollfd waits{.fd = PQsocket(connection_.get()), .events = POLLIN, .revents = 0};
      poll(&waits, 1, 100);
      if (waits.revents == 0) continue;
      const bool well = PQconsumeInput(connection_.get()) == 1;
      if (PGnotify* const notify = PQnotifies(connection_.get())) PQfreemem(notify);
      if (!well || !connected()) return fatal_;
    }
    return fatal_.empty() ? "still connected" : fatal_;
  }

 private:
  void Note(const PGresult* result) {
    const auto field = [result](int code) {
      const char* const value = PQresultErrorField(result, code);
      return std::string(value == nullptr ? "" : value);
    };
    text_ = PQresultErrorMessage(result);
    if (field(PG_DIAG_SEVERITY_NONLOCALIZED) == "FATAL") fatal_ = field(PG_DIAG_SQLSTATE);
  }

  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
  std::string text_;
  std::string fatal_;
};

std::string Dsn(Stack& stack, const std::string& id, const std::string& service = "alpha") {
  return stack.Acquire(id, service).credentials().dsn();
}

// Counts its clients' statements that are at work, or wait, on an instance.
std::string AtWork(Stack& stack, const std::string& sql) {
  return stack.OnInstance("alpha", absl::StrCat("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '", sql,
                                                "%' AND state = 'active' AND pid <> pg_backend_pid()"));
}

TEST(Drain, TransactionsEndAndIdleClientsAreTold) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  const std::string dsn = Dsn(stack, id);
  SqlClient idle(dsn);
  SqlClient listening(dsn);
  SqlClient working(dsn);
  SqlClient writing(dsn);
  ASSERT_EQ(idle.One("SELECT 1"), "1");
  ASSERT_EQ(listening.One("LISTEN news"), "LISTEN");
  ASSERT_EQ(writing.One("BEGIN"), "BEGIN");
  ASSERT_EQ(writing.One("INSERT INTO notes (body) VALUES ('one')"), "INSERT 0 1");
  ASSERT_EQ(writing.One("SELECT pg_advisory_xact_lock(1)"), "");
  working.Send("SELECT 'done' FROM pg_advisory_xact_lock(1)");
  ASSERT_TRUE(Eventually([&] { return AtWork(stack, "SELECT ''done''") == "1"; }));
  const pid_t gateway = stack.Signal("gateway", SIGTERM);

  EXPECT_EQ(idle.AwaitEnd(), "57P01");
  EXPECT_EQ(listening.AwaitEnd(), "57P01");
  EXPECT_FALSE(SqlClient(dsn).connected());
  // In the transaction all goes on as before, for as long as it takes.
  EXPECT_EQ(writing.One("INSERT INTO notes (body) VALUES ('two')"), "INSERT 0 1");
  EXPECT_EQ(writing.One("SELECT count(*) FROM notes"), "2");
  EXPECT_EQ(writing.One("SELECT 1 / 0"), "!22012");
  EXPECT_EQ(writing.One("ROLLBACK"), "ROLLBACK");
  EXPECT_EQ(writing.AwaitEnd(), "57P01");
  EXPECT_EQ(working.Answer(), "done");
  EXPECT_EQ(working.AwaitEnd(), "57P01");

  stack.AwaitAgain("gateway", gateway);
  EXPECT_THAT(stack.Log(), HasSubstr("gateway has ended (exit status 0)"));
}

TEST(Drain, ACommitIsAcknowledgedAndTheRowIsThere) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  const std::string dsn = Dsn(stack, id);
  SqlClient idle(dsn);
  SqlClient writing(dsn);
  ASSERT_EQ(idle.One("SELECT 1"), "1");
  ASSERT_EQ(writing.One("BEGIN"), "BEGIN");
  ASSERT_EQ(writing.One("INSERT INTO notes (body) VALUES ('kept')"), "INSERT 0 1");
  const pid_t gateway = stack.Signal("gateway", SIGTERM);
  ASSERT_EQ(idle.AwaitEnd(), "57P01");
  EXPECT_EQ(writing.One("COMMIT"), "COMMIT");
  EXPECT_EQ(writing.AwaitEnd(), "57P01");
  stack.AwaitAgain("gateway", gateway);
  EXPECT_EQ(SqlClient(dsn).One("SELECT body FROM notes"), "kept");
}

// Twice as many clients as servers write as fast as they can. What was acknowledged is there, and nothing else is:
// whoever is told 57P01 can be sure that the statement did not run.
TEST(Drain, NoAcknowledgedWorkIsLost) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  const std::string dsn = Dsn(stack, id);
  absl::Mutex mu;
  std::set<std::string> acknowledged;
  std::atomic<int> rounds = 0;
  std::vector<std::string> ends(40);
  std::vector<std::thread> clients;
  for (size_t c = 0; c < ends.size(); ++c) {
    clients.emplace_back([&, c] {
      SqlClient sql(dsn);
      for (int i = 0;; ++i) {
        const std::string body = absl::StrCat(c, ":", i);
        const std::string insert = absl::StrCat("INSERT INTO notes (body) VALUES ('", body, "')");
        const bool alone = i % 2 == 0;
        std::string answer = alone ? sql.One(insert) : sql.One("BEGIN");
        if (!alone && answer == "BEGIN") {
          EXPECT_EQ(sql.One(insert), "INSERT 0 1");
          answer = sql.One("COMMIT");
          EXPECT_EQ(answer, "COMMIT");
        }
        if (answer.starts_with("!")) break;
        absl::MutexLock lock(&mu);
        acknowledged.insert(body);
        ++rounds;
      }
      ends[c] = sql.last_words();
    });
  }
  EXPECT_TRUE(Eventually([&] { return rounds > 400; }));
  const pid_t gateway = stack.Signal("gateway", SIGTERM);
  for (std::thread& client : clients) client.join();
  for (const std::string& end : ends) EXPECT_EQ(end, "57P01");
  stack.AwaitAgain("gateway", gateway);
  pqxx::connection sql(dsn);
  pqxx::nontransaction work(sql);
  std::set<std::string> found;
  for (const auto& row : work.exec("SELECT body FROM notes")) found.insert(row[0].as<std::string>());
  EXPECT_EQ(found, acknowledged);
}

TEST(Drain, AServerProcessTakesOnlyItsOwnTransactionAlong) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  const std::string dsn = Dsn(stack, id);
  SqlClient one(dsn);
  SqlClient other(dsn);
  SqlClient working(dsn);
  ASSERT_EQ(one.One("SET search_path = own, public"), "SET");
  for (SqlClient* client : {&one, &other}) {
    ASSERT_EQ(client->One("BEGIN"), "BEGIN");
    ASSERT_EQ(client->One("INSERT INTO public.notes (body) VALUES (pg_backend_pid()::text)"), "INSERT 0 1");
  }
  working.Send("INSERT INTO notes (body) SELECT 'working' FROM pg_sleep(60)");
  ASSERT_TRUE(Eventually([&] { return AtWork(stack, "INSERT INTO notes (body) SELECT ''working''") == "1"; }));
  const std::string victim = one.One("SELECT pg_backend_pid()");
  ASSERT_EQ(stack.OnInstance("alpha", absl::StrCat("SELECT pg_terminate_backend(", victim, ", 10000)")), "t");
  ASSERT_EQ(stack.OnInstance("alpha",
                             "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                             "WHERE query LIKE 'INSERT INTO notes (body) SELECT ''working''%'"),
            "t");
  EXPECT_EQ(working.Answer(), "!57P01");
  EXPECT_EQ(one.One("SELECT 1"), "!57P01");
  EXPECT_THAT(one.text(), HasSubstr("The transaction is lost"));
  EXPECT_EQ(one.One("SELECT 2"), "!25P02");
  EXPECT_EQ(one.One("ROLLBACK"), "ROLLBACK");
  for (SqlClient* client : {&one, &working}) {
    EXPECT_TRUE(client->connected());
    EXPECT_EQ(client->One("SELECT current_database()"), absl::StrCat("tenant_", id, "_alpha"));
    EXPECT_EQ(client->last_words(), "");
  }
  EXPECT_EQ(one.One("SHOW search_path"), "own, public");
  EXPECT_EQ(other.One("COMMIT"), "COMMIT");
  EXPECT_EQ(one.One(absl::StrCat("SELECT count(*) FROM notes WHERE body <> '", victim, "'")), "1");
  EXPECT_EQ(one.One("SELECT count(*) FROM notes"), "1");
}

TEST(Drain, ARestartOfTheInstanceIsWaitedOut) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  const std::string dsn = Dsn(stack, id);
  std::vector<std::unique_ptr<SqlClient>> clients;
  for (int i = 0; i < 30; ++i) {
    clients.push_back(std::make_unique<SqlClient>(dsn));
    ASSERT_EQ(clients.back()->One(absl::StrCat("SET application_name = 'client ", i, "'")), "SET");
  }
  SqlClient working(dsn);
  SqlClient writing(dsn);
  ASSERT_EQ(writing.One("BEGIN"), "BEGIN");
  ASSERT_EQ(writing.One("INSERT INTO notes (body) VALUES ('lost')"), "INSERT 0 1");
  working.Send("SELECT pg_sleep(60)");
  ASSERT_TRUE(Eventually([&] { return AtWork(stack, "SELECT pg_sleep(60)") == "1"; }));
  pid_t old = 0;
  {
    // Down until all of them have asked.
    const Stack::WithoutSupervisor down(stack);
    old = stack.Signal("postgres/alpha", SIGINT);
    EXPECT_EQ(working.Answer(), "!57P01");
    EXPECT_TRUE(Eventually([&] { return PQping(stack.Env("LEASEHOLD_PG_ALPHA").c_str()) == PQPING_NO_RESPONSE; }));
    for (const auto& client : clients) client->Send("SELECT current_database() || current_setting('application_name')");
    EXPECT_EQ(writing.One("INSERT INTO notes (body) VALUES ('lost too')"), "!57P01");
    EXPECT_EQ(writing.One("COMMIT"), "!08006");
    working.Send("INSERT INTO notes (body) VALUES ('kept') RETURNING body");
  }
  for (size_t i = 0; i < clients.size(); ++i) {
    EXPECT_EQ(clients[i]->Answer(), absl::StrCat("tenant_", id, "_alphaclient ", i)) << clients[i]->text();
  }
  EXPECT_EQ(working.Answer(), "kept") << working.text();
  EXPECT_EQ(writing.One("SELECT string_agg(body, ',') FROM notes"), "kept");
  stack.AwaitAgain("postgres/alpha", old);
}

TEST(Drain, ClientsThatWaitInVainAreToldWhy) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  const std::string dsn = Dsn(stack, id, "beta");  // three server connections, and three seconds of patience
  SqlClient late(dsn);
  ASSERT_EQ(late.One("SELECT 1"), "1");
  {
    std::vector<std::unique_ptr<SqlClient>> holders;
    for (int i = 0; i < 3; ++i) {
      holders.push_back(std::make_unique<SqlClient>(dsn));
      ASSERT_EQ(holders.back()->One("BEGIN"), "BEGIN");
      ASSERT_EQ(holders.back()->One("SELECT 1"), "1");
    }
    EXPECT_EQ(late.One("SELECT 1"), "!53300");
    EXPECT_THAT(late.text(), HasSubstr("all 3 of its max_connections are in use"));
    for (const auto& holder : holders) EXPECT_EQ(holder->One("COMMIT"), "COMMIT");
  }
  EXPECT_EQ(late.One("SELECT 2"), "2");
  pid_t old = 0;
  {
    const Stack::WithoutSupervisor down(stack);
    old = stack.Signal("postgres/beta", SIGINT);
    EXPECT_TRUE(Eventually([&] { return PQping(stack.Env("LEASEHOLD_PG_BETA").c_str()) == PQPING_NO_RESPONSE; }));
    EXPECT_EQ(late.One("SELECT 3"), "!08006");
    EXPECT_THAT(late.text(), HasSubstr("the beta instance does not answer (waited 3s)"));
    EXPECT_TRUE(late.connected());
  }
  stack.AwaitAgain("postgres/beta", old);
  EXPECT_TRUE(Eventually([&] { return late.One("SELECT 4") == "4"; }));
  EXPECT_EQ(late.last_words(), "");
}

}  // namespace
}  // namespace leasehold::testing
