#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <postgresql/libpq-fe.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <format>
#include <fstream>

#include "absl/time/clock.h"
#include "common/localserver/localserver.h"

namespace leasehold::localserver {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using Connected = std::unique_ptr<PGconn, decltype(&PQfinish)>;

std::string Text(const auto& failed) { return std::string(failed.status().message()); }

Connected Connect(const PostgresServer& server, std::string_view database = "postgres") {
  return {PQconnectdb(server.SuperuserDsn(database).c_str()), PQfinish};
}

std::string Query(PGconn* connection, const char* sql) {
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection, sql), PQclear);
  if (PQresultStatus(result.get()) == PGRES_TUPLES_OK) return PQgetvalue(result.get(), 0, 0);
  return PQresultErrorMessage(result.get());
}

PostgresServer::Options OptionsIn(const TemporaryDirectory& folder) {
  return {.data_dir = folder.path() + "/data",
          .superuser_password = Secret("p@ss:w/rd 'x'"),
          .settings = {"max_connections=7"}};
}

TEST(PostgresServer, OffersTlsIfItIsAskedTo) {
  constexpr const char* kEncrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
  const auto insisting = [](const PostgresServer& server) {
    return Connected(PQconnectdb((server.SuperuserDsn() + "?sslmode=require").c_str()), PQfinish);
  };
  TemporaryDirectory folder;
  PostgresServer::Options options = OptionsIn(folder);
  options.tls = true;
  const auto server = PostgresServer::Start(options);
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ(Query(insisting(**server).get(), kEncrypted), "t");
  // With a certificate there already.
  ASSERT_TRUE((*server)->Restart().ok());
  EXPECT_EQ(Query(insisting(**server).get(), kEncrypted), "t");
  EXPECT_EQ(std::filesystem::status(folder.path() + "/data/server.key").permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);

  TemporaryDirectory other;
  const auto plain = PostgresServer::Start(OptionsIn(other));
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ(PQstatus(insisting(**plain).get()), CONNECTION_BAD);
  EXPECT_EQ(Query(Connect(**plain).get(), kEncrypted), "f");
}

TEST(PostgresServer, StartsCrashesAndComesBackWithItsData) {
  TemporaryDirectory folder;
  auto server = PostgresServer::Start(OptionsIn(folder));
  ASSERT_TRUE(server.ok()) << server.status();
  pid_t backend = 0;
  {
    const Connected c = Connect(**server);
    ASSERT_EQ(PQstatus(c.get()), CONNECTION_OK) << PQerrorMessage(c.get());
    EXPECT_EQ(Query(c.get(), "SHOW max_connections"), "7");
    EXPECT_EQ(Query(c.get(), "SHOW fsync"), "off");
    EXPECT_EQ(Query(c.get(), "SHOW server_encoding"), "UTF8");
    EXPECT_EQ(Query(c.get(), "CREATE TABLE t AS SELECT 42 AS n"), "");
    backend = std::stoi(Query(c.get(), "SELECT pg_backend_pid()"));
    EXPECT_EQ(kill(backend, 0), 0);
    (*server)->Kill();
    EXPECT_FALSE((*server)->Running());
    // Its status is gone or it is a zombie that init has yet to reap.
    std::string stat;
    std::getline(std::ifstream(std::format("/proc/{}/stat", backend)), stat);
    EXPECT_TRUE(stat.empty() || stat.contains(") Z ")) << stat;
  }
  const int port = (*server)->port();
  ASSERT_TRUE((*server)->Restart().ok());
  EXPECT_EQ((*server)->port(), port);
  EXPECT_EQ(Query(Connect(**server).get(), "SELECT n FROM t"), "42");
  ASSERT_TRUE((*server)->Restart().ok()) << "a running server restarts too";
  EXPECT_EQ(Query(Connect(**server).get(), "SELECT n FROM t"), "42");
  (*server)->Stop();
  EXPECT_EQ(PQstatus(Connect(**server).get()), CONNECTION_BAD);
}

TEST(PostgresServer, LeavesNoPasswordOnDisk) {
  TemporaryDirectory folder;
  auto server = PostgresServer::Start(OptionsIn(folder));
  ASSERT_TRUE(server.ok()) << server.status();
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    ++files;
    EXPECT_THAT(entry.path().filename().string(), testing::AnyOf("data", "data.log"));
  }
  EXPECT_EQ(files, 2);
  const Connected c(
      PQconnectdb(std::format("host=127.0.0.1 port={} user=postgres dbname=postgres password=wrong", (*server)->port())
                      .c_str()),
      PQfinish);
  EXPECT_EQ(PQstatus(c.get()), CONNECTION_BAD);
  EXPECT_THAT(PQerrorMessage(c.get()), HasSubstr("password authentication failed"));
}

TEST(PostgresServer, SaysWhyItDidNotStart) {
  TemporaryDirectory folder;
  PostgresServer::Options options = OptionsIn(folder);
  options.settings = {"max_connections=many"};
  auto server = PostgresServer::Start(std::move(options));
  ASSERT_EQ(server.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Text(server), HasSubstr("max_connections"));
  EXPECT_THAT(Text(server), Not(HasSubstr("p@ss")));
}

TEST(PostgresServer, NeverTakesAnotherServerOnItsPortForItself) {
  TemporaryDirectory folder;
  auto first = PostgresServer::Start(OptionsIn(folder));
  ASSERT_TRUE(first.ok()) << first.status();
  PostgresServer::Options options = OptionsIn(folder);
  options.data_dir += "2";
  options.port = (*first)->port();
  auto second = PostgresServer::Start(std::move(options));
  ASSERT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Text(second), HasSubstr("in use"));
}

TEST(PostgresServer, SaysHowToMakeTheFolderReachable) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  TemporaryDirectory folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms::owner_all);
  auto server = PostgresServer::Start(OptionsIn(folder));
  ASSERT_EQ(server.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Text(server), HasSubstr(std::format("chmod a+x '{}'", folder.path())));
}

}  // namespace
}  // namespace leasehold::localserver
