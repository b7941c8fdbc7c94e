#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <postgresql/libpq-fe.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <format>
#include <fstream>
#include <thread>

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

// A server whose start-up is held up, by the command that fetches its log, as long as a file lies beside its data.
class HeldStart : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(PostgresServer::Start(options_).ok());  // and stopped
    std::ofstream(held_).close();
    std::ofstream(options_.data_dir + "/recovery.signal").close();
    std::filesystem::permissions(options_.data_dir + "/recovery.signal", std::filesystem::perms::all);
    options_.settings = {"hot_standby=off",
                         std::format("restore_command=while test -e {}; do sleep 0.02; done; false", held_)};
    options_.port = FreePort();
  }
  // True once the server says that it is starting up.
  bool AwaitRejection() const {
    const std::string where = std::format("host=127.0.0.1 port={} user=postgres", options_.port);
    const absl::Time end = absl::Now() + absl::Seconds(120);
    PGPing answers = PQPING_NO_RESPONSE;
    while ((answers = PQping(where.c_str())) != PQPING_REJECT && absl::Now() < end)
      absl::SleepFor(absl::Milliseconds(5));
    return answers == PQPING_REJECT;
  }
  void LetGo() const { std::filesystem::remove(held_); }

  TemporaryDirectory folder_;
  const std::string held_ = folder_.path() + "/held";
  PostgresServer::Options options_ = OptionsIn(folder_);
};

TEST_F(HeldStart, AServerThatSaysItIsStartingUpIsWaitedForBeyondThePatience) {
  options_.start_patience = absl::Seconds(5);
  std::jthread holder([this] {
    EXPECT_TRUE(AwaitRejection());
    absl::SleepFor(options_.start_patience + absl::Seconds(1));
    LetGo();
  });
  const auto server = PostgresServer::Start(options_);
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ(Query(Connect(**server).get(), "SELECT pg_is_in_recovery()"), "f");
}

TEST_F(HeldStart, WaitingForItCanBeCancelled) {
  std::atomic<bool> cancelled = false;
  std::jthread canceller([&] {
    EXPECT_TRUE(AwaitRejection());
    cancelled = true;
  });
  const auto server = PostgresServer::Start(options_, &cancelled);
  EXPECT_EQ(server.status().code(), absl::StatusCode::kCancelled) << server.status();
  canceller.join();
  EXPECT_EQ(PQping(std::format("host=127.0.0.1 port={} user=postgres", options_.port).c_str()), PQPING_NO_RESPONSE);
  LetGo();
  EXPECT_TRUE(PostgresServer::Start(options_).ok()) << "and it comes up another time";
}

TEST(PostgresServer, ADurableOneIsSyncedInOneCallAfterACrash) {
  TemporaryDirectory folder;
  PostgresServer::Options options = OptionsIn(folder);
  options.durable = true;
  const auto server = PostgresServer::Start(options);
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ(Query(Connect(**server).get(), "SHOW recovery_init_sync_method"), "syncfs");
  (*server)->Kill();
  ASSERT_TRUE((*server)->Restart().ok());
  EXPECT_EQ(Query(Connect(**server).get(), "SHOW fsync"), "on");
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
