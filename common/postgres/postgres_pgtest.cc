#include "common/postgres/postgres.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <format>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/localserver/localserver.h"
#include "common/postgres/server_fixture.h"

namespace leasehold::postgres {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// The first field, "NULL" for NULL, or the error.
std::string First(const absl::StatusOr<pqxx::result>& result) {
  if (!result.ok()) return result.status().ToString();
  const pqxx::field field = (*result)[0][0];
  return field.is_null() ? "NULL" : field.c_str();
}

absl::Status CountInto(Transaction& tx, std::string_view table, int& count) {
  const auto rows = tx.Exec(std::format("SELECT count(*) FROM {}", QuoteIdentifier(table)));
  if (rows.ok()) count = (*rows)[0][0].as<int>();
  return rows.status();
}

TEST(Connection, PreparesFromTheSecondUseOn) {
  Connection connection(Options());
  const auto add = [&connection](const std::string& a) {
    return First(connection.ExecAlone("SELECT $1::int + 1", {a}));
  };
  const auto prepared = [&connection] {
    return First(connection.ExecAlone("SELECT count(*) FROM pg_prepared_statements"));
  };
  EXPECT_EQ(add("1"), "2");
  EXPECT_EQ(prepared(), "0");
  EXPECT_EQ(add("2"), "3");
  EXPECT_EQ(prepared(), "1");
  EXPECT_EQ(add("3"), "4");
  EXPECT_EQ(prepared(), "1");
  EXPECT_THAT(add("x"), HasSubstr("invalid input syntax"));
  EXPECT_EQ(add("4"), "5") << "an error takes nothing away";

  // What cannot be prepared in a failed transaction can be later.
  for (int i = 0; i < 2; ++i) {
    const absl::Status failed = connection.InTransaction([](Transaction& tx) -> absl::Status {
      (void)tx.Exec("SELECT 1 / 0");
      return tx.Exec("SELECT $1::int + 2", {"1"}).status();
    });
    EXPECT_EQ(SqlStateOf(failed), "25P02");
  }
  for (int i = 0; i < 3; ++i) EXPECT_EQ(First(connection.ExecAlone("SELECT $1::int + 2", {"1"})), "3");
  EXPECT_EQ(prepared(), "2");

  // Another connection knows none of them.
  ASSERT_TRUE(connection.ExecAlone("SELECT 1").ok());
  EXPECT_FALSE(connection.ExecAlone("SELECT pg_terminate_backend(pg_backend_pid())").ok());
  EXPECT_EQ(add("5"), "6");
  EXPECT_EQ(prepared(), "0");
}

TEST(Connection, ShowsTheTraceThatItWorksFor) {
  ConnectOptions options = Options();
  options.application_name = "leasehold-provisioner/0123abcd";
  Connection connection(options);
  const auto name = [&connection] { return First(connection.ExecAlone("SHOW application_name")); };
  const Trace trace = NewTrace(true);
  {
    const TraceScope scope(trace);
    EXPECT_EQ(name(), "leasehold-provisioner/0123abcd") << "nobody has asked for it";
    ASSERT_TRUE(connection.ShowTrace().ok());
    EXPECT_EQ(name(), "leasehold-provisioner/0123abcd " + TraceId(trace)) << "63 bytes, and none is cut";
    ASSERT_TRUE(connection.Connect().ok());
    EXPECT_EQ(name(), "leasehold-provisioner/0123abcd");
    ASSERT_TRUE(connection.ShowTrace().ok());
    EXPECT_EQ(name(), "leasehold-provisioner/0123abcd " + TraceId(trace)) << "a new session is told anew";
    EXPECT_EQ(ApplicationName("x"), "x " + TraceId(trace));
  }
  ASSERT_TRUE(connection.ShowTrace().ok());
  EXPECT_EQ(name(), "leasehold-provisioner/0123abcd");
  EXPECT_EQ(ApplicationName("x"), "x");
}

TEST(Connection, PreparesSoManyStatementsAndNoMore) {
  Connection connection(Options());
  const size_t texts = PreparedStatements::kMost + 20;
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < texts; ++i) {
      ASSERT_EQ(First(connection.ExecAlone(std::format("SELECT $1::int + {}", i), {"1"})), std::format("{}", i + 1));
    }
  }
  EXPECT_EQ(First(connection.ExecAlone("SELECT count(*) FROM pg_prepared_statements")),
            std::format("{}", PreparedStatements::kMost));
}

TEST(Connection, AStatementThatTakesLongCanBeCalledOff) {
  Connection connection(Options());
  std::string waited;
  const absl::Status status = connection.InTransaction([&](Transaction& tx) -> absl::Status {
    int asked = 0;
    const auto once = [&asked] { return ++asked > 1 ? absl::AbortedError("enough") : absl::OkStatus(); };
    EXPECT_EQ(tx.CountCopied(once, "COPY (SELECT generate_series(1, 3000)) TO STDOUT").value_or(-1), 3000);
    EXPECT_EQ(tx.CountCopied(once, "COPY (SELECT WHERE false) TO STDOUT").value_or(-1), 0);
    const absl::Time begun = absl::Now();
    EXPECT_EQ(tx.CountCopied(once, "COPY (SELECT pg_sleep(3600)) TO STDOUT").status(), absl::AbortedError("enough"));
    EXPECT_LT(absl::Now() - begun, absl::Minutes(1));
    waited = First(tx.Exec("SELECT 1"));
    return absl::OkStatus();
  });
  EXPECT_THAT(waited, HasSubstr("25P02"));
  EXPECT_EQ(status, absl::AbortedError("enough")) << "and nothing is committed";
  EXPECT_EQ(First(connection.ExecAlone("SELECT 2")), "2");

  // Also in the middle of what it sends without a pause.
  int asked = 0;
  const absl::Status flood = connection.InTransaction([&](Transaction& tx) {
    return tx
        .CountCopied([&asked] { return ++asked > 1 ? absl::AbortedError("enough") : absl::OkStatus(); },
                     "COPY (SELECT * FROM generate_series(1, 1000000000000)) TO STDOUT")
        .status();
  });
  EXPECT_EQ(flood, absl::AbortedError("enough"));

  const auto always = [] { return absl::OkStatus(); };
  for (const char* sql :
       {"COPY (SELECT 1 / 0) TO STDOUT", "COPY (SELECT 1 / (3 - i) FROM generate_series(1, 5) AS s (i)) TO STDOUT"}) {
    const absl::Status failed =
        connection.InTransaction([&](Transaction& tx) { return tx.CountCopied(always, sql).status(); });
    EXPECT_EQ(SqlStateOf(failed), "22012") << sql;
  }
  EXPECT_EQ(First(connection.ExecAlone("SELECT 3")), "3");
}

TEST(Connection, QuotesSoThatTheServerReadsWhatWasMeant) {
  Connection c(Options());
  for (const std::string_view text : {"it's", R"(back\slash')", R"(do"uble)", "ünïcödé", ""}) {
    EXPECT_EQ(First(c.ExecAlone(std::format("SELECT {}", QuoteLiteral(text)))), text);
    if (text.empty()) continue;
    const auto named = c.ExecAlone(std::format("SELECT 1 AS {}", QuoteIdentifier(text)));
    ASSERT_TRUE(named.ok()) << named.status();
    EXPECT_EQ(named->column_name(0), text);
  }
  ASSERT_TRUE(c.ExecAlone("SET standard_conforming_strings = off").ok());
  EXPECT_EQ(First(c.ExecAlone(std::format("SELECT {}", QuoteLiteral(R"(a\'b)")))), R"(a\'b)");
}

TEST(Connection, BindsTextAndNull) {
  Connection c(Options());
  EXPECT_EQ(First(c.ExecAlone("SELECT $1::text", {std::nullopt})), "NULL");
  EXPECT_EQ(First(c.ExecAlone("SELECT $1::text || $2", {"a", "'; DROP"})), "a'; DROP");
  EXPECT_EQ(First(c.ExecAlone("SELECT coalesce($1, $2)", {std::nullopt, "b"})), "b");
}

TEST(Connection, RefusesTextThatPostgresCannotHold) {
  Connection c(Options());
  EXPECT_EQ(c.ExecAlone("SELECT $1::text", {std::string("a\0b", 3)}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(c.ExecAlone(QuoteLiteral(std::string_view("a\0b", 3))).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Connection, CommitsOrRollsBack) {
  Connection c(Options());
  ASSERT_TRUE(c.ExecAlone("CREATE TABLE rollback (n int)").ok());
  EXPECT_TRUE(
      c.InTransaction([](Transaction& tx) { return tx.Exec("INSERT INTO rollback VALUES (1)").status(); }).ok());
  EXPECT_EQ(c.InTransaction([](Transaction& tx) {
               EXPECT_TRUE(tx.Exec("INSERT INTO rollback VALUES (2)").ok());
               return absl::DataLossError("mine");
             }).code(),
            absl::StatusCode::kDataLoss);
  const absl::Status thrown = c.InTransaction([](Transaction& tx) {
    const auto row = tx.Exec("INSERT INTO rollback VALUES (3) RETURNING NULL::int");
    [[maybe_unused]] const int null_as_number = (*row)[0][0].as<int>();
    return absl::OkStatus();
  });
  EXPECT_EQ(thrown.code(), absl::StatusCode::kInternal);
  EXPECT_FALSE(IsConnectionFailure(thrown));
  int count = 0;
  EXPECT_TRUE(c.InTransaction([&](Transaction& tx) { return CountInto(tx, "rollback", count); }).ok());
  EXPECT_EQ(count, 1);
}

TEST(Connection, NeverReportsACommitThatWasARollback) {
  Connection c(Options());
  ASSERT_TRUE(c.ExecAlone("CREATE TABLE swallowed (n int)").ok());
  const absl::Status status = c.InTransaction([](Transaction& tx) {
    EXPECT_TRUE(tx.Exec("INSERT INTO swallowed VALUES (1)").ok());
    EXPECT_FALSE(tx.Exec("SELECT 1 / 0").ok());
    return absl::OkStatus();
  });
  EXPECT_EQ(SqlStateOf(status), "22012") << status;
  const absl::Status saved = c.InTransaction([](Transaction& tx) {
    EXPECT_TRUE(tx.Exec("INSERT INTO swallowed VALUES (2); SAVEPOINT s").ok());
    EXPECT_FALSE(tx.Exec("SELECT 1 / 0").ok());
    return tx.Exec("ROLLBACK TO s").status();
  });
  EXPECT_TRUE(saved.ok()) << saved;
  EXPECT_EQ(First(c.ExecAlone("SELECT string_agg(n::text, ',') FROM swallowed")), "2");
}

TEST(Connection, CarriesTheSqlState) {
  Connection c(Options());
  ASSERT_TRUE(c.ExecAlone("CREATE TABLE states (n int PRIMARY KEY, v int); INSERT INTO states VALUES (1, 1)").ok());
  const auto expect = [&c](std::string_view sql, std::string_view sqlstate, absl::StatusCode code) {
    const absl::Status status = c.ExecAlone(sql).status();
    EXPECT_EQ(SqlStateOf(status), sqlstate) << status;
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_FALSE(IsConnectionFailure(status)) << status;
    EXPECT_THAT(Message(status), HasSubstr(std::string(sqlstate)));
  };
  expect("INSERT INTO states VALUES (1, 2)", "23505", absl::StatusCode::kAlreadyExists);
  expect("CREATE DATABASE postgres", "42P04", absl::StatusCode::kAlreadyExists);
  expect("SELECT * FROM nowhere", "42P01", absl::StatusCode::kNotFound);
  expect("SELEC 1", "42601", absl::StatusCode::kInvalidArgument);
  expect("SET statement_timeout = '1ms'; SELECT pg_sleep(30)", "57014", absl::StatusCode::kCancelled);
}

TEST(Connection, KeepsRowsOutOfErrors) {
  Connection c(Options());
  ASSERT_TRUE(c.ExecAlone("CREATE TABLE private (n text PRIMARY KEY); INSERT INTO private VALUES ('salary')").ok());
  EXPECT_THAT(Message(c.ExecAlone("INSERT INTO private VALUES ($1)", {"salary"}).status()), Not(HasSubstr("salary")));
}

TEST(Connection, ReportsSerializationFailures) {
  Connection one(Options());
  Connection two(Options());
  ASSERT_TRUE(one.ExecAlone("CREATE TABLE contended (v int); INSERT INTO contended VALUES (0)").ok());
  const absl::Status status = one.InTransaction([&two](Transaction& tx) {
    EXPECT_TRUE(tx.Exec("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT v FROM contended").ok());
    EXPECT_TRUE(two.ExecAlone("UPDATE contended SET v = 1").ok());
    return tx.Exec("UPDATE contended SET v = 2").status();
  });
  EXPECT_EQ(SqlStateOf(status), "40001");
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
}

TEST(Connection, RunsWhatCannotBeInATransaction) {
  Connection c(Options());
  EXPECT_TRUE(c.ExecAlone("CREATE DATABASE alone").ok());
  EXPECT_EQ(First(Connection(Options("alone")).ExecAlone("SELECT current_database()")), "alone");
  const absl::Status inside =
      c.InTransaction([](Transaction& tx) { return tx.Exec("CREATE DATABASE inside").status(); });
  EXPECT_EQ(SqlStateOf(inside), "25001");
}

TEST(Connection, ReportsABreakInsideATransactionAndHealsAfterwards) {
  Connection admin(Options());
  Connection c(Options());
  const absl::Status broken = c.InTransaction([&admin](Transaction& tx) {
    const std::string pid = First(tx.Exec("SELECT pg_backend_pid()"));
    EXPECT_EQ(First(admin.ExecAlone("SELECT pg_terminate_backend($1::int, 5000)", {pid})), "t");
    return tx.Exec("SELECT 1").status();
  });
  EXPECT_TRUE(IsConnectionFailure(broken)) << broken;
  EXPECT_EQ(broken.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(First(c.ExecAlone("SELECT 7")), "7");
}

TEST(Connection, ReplacesAConnectionThatBrokeWhileIdle) {
  Connection admin(Options());
  Connection c(Options());
  const auto terminate = [&] {
    const std::string pid = First(c.ExecAlone("SELECT pg_backend_pid()"));
    EXPECT_EQ(First(admin.ExecAlone("SELECT pg_terminate_backend($1::int, 5000)", {pid})), "t");
  };
  terminate();
  EXPECT_TRUE(c.InTransaction([](Transaction& tx) { return tx.Exec("SELECT 1").status(); }).ok());
  terminate();
  EXPECT_EQ(First(c.ExecAlone("SELECT 8")), "8");
}

TEST(Connection, SaysWhyItCannotConnect) {
  ConnectOptions wrong = Options();
  wrong.password = Secret("hunter2");
  const absl::Status refused = Connection(wrong).Connect();
  EXPECT_EQ(SqlStateOf(refused), "28P01") << refused;
  EXPECT_FALSE(IsConnectionFailure(refused));
  EXPECT_THAT(refused.ToString(), Not(HasSubstr("hunter2")));

  const absl::Status missing = Connection(Options("no_such_database")).Connect();
  EXPECT_EQ(SqlStateOf(missing), "3D000") << missing;
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(missing.ToString(), Not(HasSubstr(std::string(kPassword))));

  const absl::Status nobody =
      Connection({.dsn = Dsn("127.0.0.1", localserver::FreePort(), "x", "x"), .password = Secret("hunter2")}).Connect();
  EXPECT_TRUE(IsConnectionFailure(nobody)) << nobody;
  EXPECT_THAT(nobody.ToString(), Not(HasSubstr("hunter2")));

  const absl::Status nonsense = Connection({.dsn = "this is not a dsn", .password = Secret("hunter2")}).Connect();
  EXPECT_FALSE(nonsense.ok());
  EXPECT_THAT(nonsense.ToString(), Not(HasSubstr("hunter2")));
}

TEST(Connection, GivesUpOnAServerThatSaysNothing) {
  const int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const absl::Cleanup close_silent = [silent] { close(silent); };
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(silent, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(silent, 1), 0);
  socklen_t size = sizeof address;
  ASSERT_EQ(getsockname(silent, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const absl::Status status = Connection({.dsn = Dsn("127.0.0.1", ntohs(address.sin_port), "x", "x"),
                                          .password = Secret("x"),
                                          .connect_timeout = absl::Milliseconds(50)})
                                  .Connect();
  EXPECT_TRUE(IsConnectionFailure(status)) << status;
  EXPECT_THAT(Message(status), HasSubstr("in time"));
}

TEST(ConnectionPool, IsBoundedAndReusesConnections) {
  ConnectionPool pool(Options(), 2);
  std::string first_pid;
  {
    ConnectionPool::Handle one = pool.Take();
    first_pid = First(one->ExecAlone("SELECT pg_backend_pid()"));
    ConnectionPool::Handle two = pool.Take();
    absl::Notification taken;
    std::thread third([&] {
      const ConnectionPool::Handle handle = pool.Take();
      taken.Notify();
    });
    EXPECT_FALSE(taken.WaitForNotificationWithTimeout(absl::Milliseconds(30)));
    {
      const ConnectionPool::Handle released = std::move(two);
    }
    taken.WaitForNotification();
    third.join();
  }
  EXPECT_EQ(First(pool.Take()->ExecAlone("SELECT pg_backend_pid()")), first_pid);
  EXPECT_TRUE(pool.InTransaction([](Transaction& tx) { return tx.Exec("SELECT 1").status(); }).ok());
}

// Sessions of this application name, other than the one that asks.
std::string SessionsOf(std::string_view application) {
  Connection connection(Options());
  return First(connection.ExecAlone(
      "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()",
      {std::string(application)}));
}

TEST(ConnectionPool, ClosesAllButOneOfThoseThatNobodyHasUsedForAWhile) {
  FakeClock clock;
  ConnectOptions options = Options();
  options.application_name = "idle";
  ConnectionPool pool(options, 4, &clock);
  const auto use = [&pool](int count) {
    std::vector<ConnectionPool::Handle> handles;
    for (int i = 0; i < count; ++i) handles.push_back(pool.Take());
    for (ConnectionPool::Handle& handle : handles) EXPECT_TRUE(handle->ExecAlone("SELECT 1").ok());
  };
  use(3);
  clock.Advance(ConnectionPool::kIdleTimeout - absl::Seconds(1));
  use(2);
  EXPECT_EQ(SessionsOf("idle"), "3");
  // A session goes a moment after it was left.
  const auto left = [](std::string_view count) {
    const absl::Time end = absl::Now() + absl::Seconds(30);
    while (SessionsOf("idle") != count && absl::Now() < end) absl::SleepFor(absl::Milliseconds(10));
    return SessionsOf("idle");
  };
  clock.Advance(absl::Seconds(1));
  pool.CloseIdle();
  EXPECT_EQ(left("2"), "2");
  clock.Advance(ConnectionPool::kIdleTimeout);
  // The third has waited long when another is given back.
  use(1);
  EXPECT_EQ(left("1"), "1");
  clock.Advance(10 * ConnectionPool::kIdleTimeout);
  pool.CloseIdle();
  EXPECT_EQ(SessionsOf("idle"), "1") << "whoever comes next need not wait";
  use(4);
  EXPECT_EQ(SessionsOf("idle"), "4");
}

std::string Value(const Together& together, size_t statement) {
  if (statement >= together.rows.size()) return Message(together.status);
  const Together::Rows& rows = together.rows[statement];
  return rows.empty() ? "no row" : rows[0][0].value_or("NULL");
}

TEST(Together, RunsAllInOneMessage) {
  Connection connection(Options());
  const Together together = connection.ExecTogether(std::vector<std::string>{
      "SELECT 1 -- one", "CREATE TEMPORARY TABLE t (i int)", "SELECT NULL", "SELECT 2 /* two; */"});
  EXPECT_EQ(together.status, absl::OkStatus());
  EXPECT_EQ(Value(together, 0), "1");
  EXPECT_EQ(Value(together, 1), "no row");
  EXPECT_EQ(Value(together, 2), "NULL");
  EXPECT_EQ(Value(together, 3), "2");
}

TEST(Together, IsOneTransactionUnlessItSaysOtherwise) {
  Connection connection(Options());
  EXPECT_EQ(
      SqlStateOf(
          connection.ExecTogether(std::vector<std::string>{"CREATE TABLE together (i int)", "SELECT 1 / 0"}).status),
      "22012");
  EXPECT_EQ(First(connection.ExecAlone("SELECT to_regclass('together')")), "NULL");
  EXPECT_TRUE(connection.ExecTogether(std::vector<std::string>{"BEGIN", "CREATE TABLE together (i int)"}).status.ok());
  EXPECT_TRUE(
      connection.ExecTogether(std::vector<std::string>{"INSERT INTO together VALUES (7)", "COMMIT"}).status.ok());
  EXPECT_EQ(First(connection.ExecAlone("SELECT i FROM together")), "7");
  EXPECT_TRUE(connection.ExecAlone("DROP TABLE together").ok());
}

TEST(Together, SaysWhichStatementFailedAndWhere) {
  Connection connection(Options());
  const Together late = connection.ExecTogether(std::vector<std::string>{"SELECT 1", "SELECT 1 / 0", "SELECT 2"});
  EXPECT_EQ(late.rows.size(), 1u);
  EXPECT_EQ(late.failed, 1u);
  EXPECT_EQ(SqlStateOf(late.status), "22012");
  // In characters, as the server counts them.
  const Together placed =
      connection.ExecTogether(std::vector<std::string>{"SELECT 'ä'", "SELECT 'ü', nowhere", "SELECT 2"});
  EXPECT_EQ(placed.failed, 1u);
  EXPECT_THAT(Message(placed.status), HasSubstr("at character 13"));
  const Together syntax = connection.ExecTogether(std::vector<std::string>{"SELECT 1", "SELECT 2", "SELEC 3"});
  EXPECT_EQ(syntax.rows.size(), 0u) << "nothing runs";
  EXPECT_EQ(syntax.failed, 2u);
  EXPECT_THAT(Message(syntax.status), HasSubstr("at character 1 "));
  EXPECT_EQ(connection.ExecTogether(std::vector<std::string>{"SELECT 1", std::string("SELECT '\0'", 10)}).failed, 1u);
  EXPECT_EQ(First(connection.ExecAlone("SELECT 4")), "4") << "and the connection goes on";
}

TEST(Together, DropsWhatCopySends) {
  Connection connection(Options());
  const Together together =
      connection.ExecTogether(std::vector<std::string>{"COPY (SELECT generate_series(1, 1000)) TO STDOUT", "SELECT 1"});
  EXPECT_EQ(together.status, absl::OkStatus());
  EXPECT_EQ(Value(together, 1), "1");
  EXPECT_FALSE(
      connection.ExecTogether(std::vector<std::string>{"CREATE TEMPORARY TABLE t (i int)", "COPY t FROM STDIN"})
          .status.ok());
  EXPECT_EQ(First(connection.ExecAlone("SELECT 1")), "1");
}

TEST(Together, ASessionThatEndsIsAConnectionFailure) {
  Connection connection(Options());
  const Together together = connection.ExecTogether(
      std::vector<std::string>{"BEGIN", "SELECT pg_terminate_backend(pg_backend_pid())", "SELECT 1"});
  EXPECT_TRUE(IsConnectionFailure(together.status)) << together.status;
  EXPECT_EQ(SqlStateOf(together.status), "57P01");
  connection.Stay(true);
  EXPECT_TRUE(IsConnectionFailure(connection.ExecTogether(std::vector<std::string>{"SELECT 1"}).status));
  connection.Stay(false);
  EXPECT_TRUE(connection.ExecTogether(std::vector<std::string>{"SELECT 1"}).status.ok()) << "another one";
}

}  // namespace
}  // namespace leasehold::postgres
