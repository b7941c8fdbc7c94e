// The generator's own client against a real server, and the loads that are made of it.
#include "bench/load/sql_client.h"

#include <gmock/gmock.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <format>
#include <fstream>
#include <memory>
#include <pqxx/pqxx>
#include <string>

#include "bench/load/idle_clients.h"
#include "bench/load/tenant_load.h"
#include "common/localserver/localserver.h"

namespace leasehold::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::Gt;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Pair;

class OnPostgres : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<localserver::TemporaryDirectory>();
    auto server = localserver::PostgresServer::Start({.data_dir = folder_->path() + "/data",
                                                      .port = 0,
                                                      .superuser_password = Secret(std::string("postgres")),
                                                      .settings = {"max_connections=20"},
                                                      .durable = false});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    pqxx::connection connection(server_->SuperuserDsn());
    pqxx::nontransaction work(connection);
    work.exec("CREATE DATABASE one");
    work.exec("CREATE DATABASE two");
  }
  static void TearDownTestSuite() {
    server_.reset();
    folder_.reset();
  }

  static Target To(const std::string& database) {
    auto target = ParseTarget(server_->SuperuserDsn(database));
    EXPECT_TRUE(target.ok()) << target.status();
    return *target;
  }

  // Turns until something happens at the one client.
  SqlClient::Event Next(SqlClient& client) {
    for (;;) {
      epoll_event event{};
      if (!client.failed_at_once() && epoll_wait(epoll_, &event, 1, 10'000) != 1) {
        ADD_FAILURE() << "nothing happens";
        return SqlClient::Event::kBroken;
      }
      if (const SqlClient::Event happened = client.OnEvent(); happened != SqlClient::Event::kNothing) return happened;
    }
  }

  const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  ScramKeys keys_;
  static std::unique_ptr<localserver::TemporaryDirectory> folder_;
  static std::unique_ptr<localserver::PostgresServer> server_;
};

std::unique_ptr<localserver::TemporaryDirectory> OnPostgres::folder_;
std::unique_ptr<localserver::PostgresServer> OnPostgres::server_;

TEST_F(OnPostgres, LogsInAsksAndLeaves) {
  SqlClient client(epoll_, 0, keys_);
  const Target target = To("one");
  for (int time = 0; time < 2; ++time) {  // the second time with keys that were kept
    client.Connect(target);
    ASSERT_EQ(Next(client), SqlClient::Event::kReady) << client.failure();
    client.Query("SELECT current_database(), 'more'");
    ASSERT_EQ(Next(client), SqlClient::Event::kAnswer);
    EXPECT_EQ(client.failure(), "");
    EXPECT_EQ(client.value(), "one");
    client.Close();
    EXPECT_EQ(client.state(), SqlClient::State::kClosed);
  }
}

TEST_F(OnPostgres, AnAnswerLargerThanTheBufferIsReadToItsEnd) {
  SqlClient client(epoll_, 0, keys_);
  const Target target = To("one");
  client.Connect(target);
  ASSERT_EQ(Next(client), SqlClient::Event::kReady);
  client.Query("SELECT repeat('x', 500000) FROM generate_series(1, 20)");
  ASSERT_EQ(Next(client), SqlClient::Event::kAnswer);
  EXPECT_EQ(client.value().size(), 500'000u);
}

TEST_F(OnPostgres, AnErrorIsTheQuerysAndTheConnectionStays) {
  SqlClient client(epoll_, 0, keys_);
  const Target target = To("one");
  client.Connect(target);
  ASSERT_EQ(Next(client), SqlClient::Event::kReady);
  client.Query("SELECT 1 / 0");
  ASSERT_EQ(Next(client), SqlClient::Event::kAnswer);
  EXPECT_EQ(client.failure(), "22012");
  client.Query("SELECT 7");
  ASSERT_EQ(Next(client), SqlClient::Event::kAnswer);
  EXPECT_EQ(client.failure(), "");
  EXPECT_EQ(client.value(), "7");
}

TEST_F(OnPostgres, ATerminatedBackendBreaksTheConnectionWithItsReason) {
  SqlClient client(epoll_, 0, keys_);
  const Target target = To("one");
  client.Connect(target);
  ASSERT_EQ(Next(client), SqlClient::Event::kReady);
  client.Query("SELECT pg_terminate_backend(pg_backend_pid())");
  EXPECT_EQ(Next(client), SqlClient::Event::kBroken);
  EXPECT_EQ(client.failure(), "57P01");
}

TEST_F(OnPostgres, AWrongPasswordAndADeadPortAreToldApart) {
  SqlClient client(epoll_, 0, keys_);
  Target target = To("one");
  target.password = "wrong";
  client.Connect(target);
  EXPECT_EQ(Next(client), SqlClient::Event::kBroken);
  EXPECT_EQ(client.failure(), "28P01");
  target.address.sin_port = htons(static_cast<uint16_t>(localserver::FreePort()));
  client.Connect(target);
  EXPECT_EQ(Next(client), SqlClient::Event::kBroken);
  EXPECT_EQ(client.failure(), "refused");
}

TEST_F(OnPostgres, ALoadThatReconnectsCountsItsRequests) {
  const TenantLoad load{.tenants = {{"one", To("one")}, {"two", To("two")}},
                        .clients = 4,
                        .warm_up = absl::Milliseconds(50),
                        .duration = absl::Milliseconds(300)};
  TenantLoadResult result = RunTenantLoad(load);
  EXPECT_THAT(result.errors, IsEmpty());
  EXPECT_EQ(result.wrong_databases, 0);
  EXPECT_GT(result.latencies.count(), 0u);
  EXPECT_GT(result.latencies.Quantile(0.5), absl::ZeroDuration());
}

TEST_F(OnPostgres, AnAnswerFromAnotherDatabaseIsSeen) {
  // A server that takes SET leasehold.tenant and stays where it is: PostgreSQL itself.
  const TenantLoad load{.move = TenantLoad::Move::kSet,
                        .home = To("one"),
                        .tenants = {{"two", To("two")}},
                        .clients = 2,
                        .warm_up = absl::ZeroDuration(),
                        .duration = absl::Milliseconds(100)};
  TenantLoadResult result = RunTenantLoad(load);
  EXPECT_THAT(result.errors, IsEmpty());
  EXPECT_GT(result.latencies.count(), 0u);
  EXPECT_EQ(result.wrong_databases, static_cast<int64_t>(result.latencies.count()));
}

TEST_F(OnPostgres, RefusedConnectionsAreErrorsByTheirSqlstate) {
  const TenantLoad load{.move = TenantLoad::Move::kSet,
                        .home = To("one"),
                        .tenants = {{"one", To("one")}},
                        .clients = 40,  // of 20
                        .warm_up = absl::ZeroDuration(),
                        .duration = absl::Milliseconds(100)};
  TenantLoadResult result = RunTenantLoad(load);
  EXPECT_THAT(result.errors, ElementsAre(Pair("53300", Gt(0))));
  EXPECT_GT(result.latencies.count(), 0u);  // those who are in go on
}

TEST_F(OnPostgres, IdleClientsStayAndAnswer) {
  IdleClients clients(To("one"));
  EXPECT_EQ(clients.Connect(10, absl::Seconds(20)), 10);
  EXPECT_EQ(clients.AskEach("SELECT 1", absl::Seconds(20)), 10);
  EXPECT_EQ(clients.AskEach("SELECT 1 / 0", absl::Seconds(20)), 0);
  EXPECT_THAT(clients.errors(), ElementsAre(Pair("22012", 10)));
}

TEST(ParseTarget, TakesWhatLibpqTakesAndNothingElse) {
  const auto target = ParseTarget("postgresql://u%40x:p@127.0.0.1:5433/db");
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->user, "u@x");
  EXPECT_EQ(target->database, "db");
  EXPECT_EQ(ntohs(target->address.sin_port), 5433);
  EXPECT_FALSE(ParseTarget("postgresql://u:p@db.example.com:5433/db").ok());
  EXPECT_FALSE(ParseTarget("postgresql://127.0.0.1/db").ok());
  EXPECT_FALSE(ParseTarget("no connection string").ok());
}

}  // namespace
}  // namespace leasehold::bench
