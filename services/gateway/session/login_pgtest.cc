// Who gets in, where to, and how it ends.
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <asio/connect.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>
#include <filesystem>
#include <format>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "services/gateway/session/testing_stack.h"
#include "services/gateway/session/testing_wire.h"

namespace leasehold::gateway::testing_stack {
namespace {

class LoginTest : public EndpointTest {};

TEST_F(LoginTest, BadCredentialsAllSoundTheSame) {
  const Client wrong_password(Dsn("lh1.acme", "guess"));
  const Client unknown(Dsn("lh1.acmf", acme_));
  EXPECT_FALSE(wrong_password.ok());
  EXPECT_FALSE(unknown.ok());
  const auto text = [](const Client& client) {
    const std::string error = client.error();
    return error.substr(error.find("FATAL"));
  };
  EXPECT_THAT(text(wrong_password), testing::HasSubstr("password is wrong"));
  EXPECT_EQ(text(wrong_password), text(unknown));
}

TEST_F(LoginTest, AnEndedLeaseIsToldSo) {
  authority_.Refuse("lh1.old", Error(v1::REASON_LEASE_EXPIRED, "the lease has expired"));
  const Client client(Dsn("lh1.old", "any"));
  EXPECT_FALSE(client.ok());
  EXPECT_THAT(client.error(), testing::HasSubstr("the lease has expired"));
}

TEST_F(LoginTest, DatabaseNames) {
  const auto where = [](const Client& client) {
    return client.ok() ? std::string(PQdb(client.get())) : client.error();
  };
  const auto at = [this](const std::string& user, const std::string& password, const std::string& database) {
    Client client(Dsn(user, password, "dbname=" + database));
    return client.ok() ? client.One("select current_database()") : client.error();
  };
  EXPECT_EQ(at("lh1.acme", acme_, "tenant_acme_identity"), "tenant_acme_identity");
  EXPECT_EQ(at("lh1.acme", acme_, "tenant_globex_identity"), "tenant_globex_identity");
  EXPECT_THAT(at("lh1.acme", acme_, "postgres"), testing::HasSubstr("database \"postgres\" does not exist"));
  EXPECT_THAT(at("lh1.acme", acme_, "tenant_acme_employee"), testing::HasSubstr("does not exist"));
  const std::string narrow = authority_.Lease("lh1.narrow", {.home = "acme"});
  EXPECT_THAT(at("lh1.narrow", narrow, "tenant_globex_identity"), testing::HasSubstr("does not exist"));
  const std::string moved = authority_.Lease("lh1.moved", {.home = "acme", .start = "globex", .switch_to = {"*"}});
  EXPECT_EQ(at("lh1.moved", moved, "tenant_acme_identity"), "tenant_globex_identity");
  const std::string central = authority_.Lease("lh1.central", {.home = "", .switch_to = {"*"}});
  EXPECT_EQ(at("lh1.central", central, "identity_central"), "identity_central");
  EXPECT_THAT(at("lh1.central", central, "postgres"), testing::HasSubstr("does not exist"));
  EXPECT_THAT(where(Connect("dbname=tenant_slow_identity")), testing::HasSubstr("not ready"));
}

TEST_F(LoginTest, ReadOnlyLeasesUseTheReadOnlyRole) {
  Client owner = Connect();
  owner.One("create table r(i int)");
  owner.One("grant select on r to tenant_acme_identity_ro");
  const std::string password = authority_.Lease("lh1.reader", {.home = "acme", .read_only = true});
  Client reader(Dsn("lh1.reader", password));
  ASSERT_TRUE(reader.ok()) << reader.error();
  EXPECT_EQ(reader.One("select count(*) from r"), "0");
  EXPECT_EQ(reader.One("insert into r values (1)"), "!42501");
  owner.One("drop table r");
}

TEST_F(LoginTest, ReplicationIsRefused) {
  const Client client = Connect("replication=database");
  EXPECT_FALSE(client.ok());
  EXPECT_THAT(client.error(), testing::HasSubstr("replication"));
}

TEST_F(LoginTest, AnInstanceThatDoesNotAnswer) {
  Begin({.instance_port = localserver::FreePort()});
  const Client client = Connect();
  EXPECT_FALSE(client.ok());
  EXPECT_THAT(client.error(), testing::HasSubstr("the identity instance does not answer"));
  EXPECT_THAT(client.error(), testing::Not(testing::HasSubstr("tenant_acme")));
}

TEST_F(LoginTest, WhatIsWrongWithOneDatabaseIsNoFaultOfTheInstance) {
  struct Fault {
    std::string cause;
    std::string cure;
    std::string says;
  };
  const std::string alter = "alter role tenant_globex_identity ";
  for (const Fault& fault : {
           Fault{alter + "nologin", alter + "login", "does not let the database's role log in"},
           Fault{"revoke connect on database tenant_globex_identity from tenant_globex_identity",
                 "grant connect on database tenant_globex_identity to tenant_globex_identity",
                 "the database's role may not connect to it"},
           Fault{"alter database tenant_globex_identity allow_connections false",
                 "alter database tenant_globex_identity allow_connections true", "the database takes no connections"},
           Fault{"alter database tenant_globex_identity rename to gone",
                 "alter database gone rename to tenant_globex_identity",
                 "the database is not on the identity instance"},
           Fault{alter + "rename to gone", "alter role gone rename to tenant_globex_identity",
                 "does not know the database's role, or another password"},
       }) {
    Begin({});
    Client admin = instance_->Admin();
    ASSERT_NE(admin.One(fault.cause)[0], '!') << fault.cause << admin.error();
    const Client client = Connect("dbname=tenant_globex_identity");
    EXPECT_FALSE(client.ok());
    EXPECT_THAT(client.error(), testing::HasSubstr(fault.says)) << fault.cause;
    EXPECT_THAT(client.error(), testing::Not(testing::HasSubstr("answer"))) << fault.cause;
    Client other = Connect();
    EXPECT_EQ(other.One("select 1"), "1") << "another database of the instance";
    ASSERT_NE(admin.One(fault.cure)[0], '!') << fault.cure << admin.error();
    EXPECT_TRUE(Connect("dbname=tenant_globex_identity").ok()) << fault.cure;
  }
}

TEST_F(LoginTest, AnInstanceWithoutAConnectionLeftSaysSo) {
  Begin({.patience = absl::Milliseconds(300)});
  Client admin = instance_->Admin();
  ASSERT_EQ(admin.One("alter role tenant_globex_identity connection limit 0"), "ALTER ROLE");
  const Client client = Connect("dbname=tenant_globex_identity");
  EXPECT_THAT(client.error(), testing::HasSubstr("has no connection left for the gateway (waited 300ms)"));
  ASSERT_EQ(admin.One("alter role tenant_globex_identity connection limit -1"), "ALTER ROLE");
}

TEST_F(LoginTest, TheCapHoldsAndSaysSo) {
  Begin({.max_connections = 3, .patience = absl::Milliseconds(300)});
  std::vector<Client> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(Connect());  // idle clients need no server
  for (int i = 0; i < 3; ++i) ASSERT_EQ(clients[static_cast<size_t>(i)].One("begin"), "BEGIN");
  const auto refused = clients[3].Exec("select 1");
  EXPECT_EQ(Client::Show(refused), "!53300");
  EXPECT_THAT(PQresultErrorMessage(refused.get()), testing::HasSubstr("all 3 of its max_connections are in use"));
  EXPECT_EQ(instance_->Backends(), 3);
  EXPECT_EQ(clients[2].One("commit"), "COMMIT");
  EXPECT_EQ(clients[3].One("select 1"), "1");
}

TEST_F(LoginTest, TooManyClients) {
  Begin({.max_clients = 1});
  const Client first = Connect();
  const Client second = Connect();
  EXPECT_TRUE(first.ok());
  EXPECT_FALSE(second.ok());
  EXPECT_THAT(second.error(), testing::HasSubstr("serves its 1 clients already"));
}

TEST_F(LoginTest, TheLastDescriptorsAreNotForClients) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  Begin({.max_clients = 10'000, .descriptors = DescriptorBudget(1'000)});  // a quarter is kept
  int highest = 0;
  for (const auto& fd : std::filesystem::directory_iterator("/proc/self/fd")) {
    highest = std::max(highest, std::stoi(fd.path().filename()));
  }
  rlimit few = before;
  few.rlim_cur = static_cast<rlim_t>(highest) * 2 + 40;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  std::vector<Client> clients;
  do {
    clients.push_back(Connect());  // its own end is one of them too
  } while (clients.back().ok() && clients.size() < few.rlim_cur);
  EXPECT_GT(clients.size(), 2U);
  EXPECT_THAT(clients.back().error(), testing::HasSubstr("no file descriptor left for another client"));
  EXPECT_EQ(clients.front().One("select 1"), "1") << "a server connection takes one that was kept";
  clients.clear();
  for (const absl::Time end = absl::Now() + absl::Seconds(20); !Connect().ok() && absl::Now() < end;) {
  }
  EXPECT_TRUE(Connect().ok());
  setrlimit(RLIMIT_NOFILE, &before);
}

// A client that speaks no libpq.
class Stranger {
 public:
  explicit Stranger(int port) { socket_.connect({asio::ip::make_address("127.0.0.1"), static_cast<uint16_t>(port)}); }
  void Say(std::string_view bytes) { asio::write(socket_, asio::buffer(bytes)); }
  // … who it is; it answers nothing then.
  void SayHello(const std::string& user) {
    std::string hello;
    const std::pair<std::string, std::string> settings[] = {{"user", user}};
    pgwire::Startup(hello, settings);
    Say(hello);
  }
  void Read(std::span<char> into) { asio::read(socket_, asio::buffer(into.data(), into.size())); }
  // Blocks. The types of the messages up to the end; of an error its SQLSTATE.
  std::string HearOut() {
    std::string in, heard;
    char bytes[512];
    std::error_code error;
    while (const size_t count = socket_.read_some(asio::buffer(bytes), error)) in.append(bytes, count);
    pgwire::Frame frame;
    for (std::string_view rest = in;
         pgwire::ReadHeader(rest, pgwire::kLargestBody, frame) == pgwire::Answer::kDone && frame.size <= rest.size();
         rest.remove_prefix(frame.size)) {
      const std::string_view body = rest.substr(pgwire::kHeaderSize, frame.size - pgwire::kHeaderSize);
      heard +=
          frame.type == 'E' ? std::format("E({})", pgwire::ReadErrorFields(body).code) : std::string(1, frame.type);
    }
    return heard;
  }
  // Blocks. True: closed, and nothing was said before.
  bool IsHungUpOn() {
    char answer[64];
    std::error_code error;
    return socket_.read_some(asio::buffer(answer), error) == 0 && error;
  }

 private:
  asio::io_context io_;
  asio::ip::tcp::socket socket_{io_};
};

TEST_F(LoginTest, GarbageIsHungUpOn) {
  for (const std::string_view bytes : {std::string_view("GET / HTTP/1.1\r\n\r\n"), std::string_view("\0\0\0\4", 4),
                                       std::string_view("\x16\x03\x01\x02\x00", 5)}) {
    Stranger stranger(endpoint_->port());
    stranger.Say(bytes);
    EXPECT_TRUE(stranger.IsHungUpOn());
  }
}

TEST_F(LoginTest, WhoDoesNotLogInIsHungUpOn) {
  Begin({.login_timeout = absl::Milliseconds(100)});
  Stranger silent(endpoint_->port());
  Stranger slow(endpoint_->port());
  slow.Say(std::string_view("\0\0\0\x40\0\3\0\0user", 12));
  EXPECT_TRUE(silent.IsHungUpOn());
  EXPECT_TRUE(slow.IsHungUpOn());
  EXPECT_TRUE(Connect().ok());
}

TEST_F(LoginTest, WhoHasNotLoggedInKeepsNobodyFromStopping) {
  Stranger silent(endpoint_->port());
  while (endpoint_->clients() == 0) std::this_thread::yield();
  endpoint_->Drain(absl::Minutes(1));
  EXPECT_EQ(endpoint_->clients(), 0);
  EXPECT_TRUE(silent.IsHungUpOn());
}

class EndTest : public EndpointTest {
 protected:
  // Starts a query that sleeps and returns when it runs.
  void Sleep(Client& client) {
    ASSERT_EQ(PQsendQuery(client.get(), "select pg_sleep(60)"), 1);
    Client admin = instance_->Admin();
    while (
        admin.One("select count(*) from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active'") !=
        "1") {
    }
  }
};

TEST_F(EndTest, OfALeaseInTheMiddleOfAQuery) {
  Client busy = Connect();
  Client idle = Connect();
  Sleep(busy);
  const absl::Time start = absl::Now();
  authority_.EndAll(Error(v1::REASON_LEASE_REVOKED, "the lease was revoked"));
  const Client::Result result(PQgetResult(busy.get()), PQclear);
  EXPECT_LT(absl::Now() - start, absl::Seconds(1));
  EXPECT_EQ(Client::Show(result), "!28000");
  EXPECT_THAT(busy.error(), testing::HasSubstr("the lease was revoked"));
  EXPECT_TRUE(instance_->BackendsReach(0, absl::Seconds(1) - (absl::Now() - start)));
  idle.One("select 1");
  EXPECT_FALSE(idle.ok());
  EXPECT_THAT(idle.error(), testing::HasSubstr("the lease was revoked"));
}

TEST_F(EndTest, OfALeaseKillsWhatIsQueuedBehindTheQueryToo) {
  Client client = Connect();
  ASSERT_EQ(PQenterPipelineMode(client.get()), 1);
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(PQsendQueryParams(client.get(), "select pg_sleep(60)", 0, nullptr, nullptr, nullptr, nullptr, 0), 1);
    PQpipelineSync(client.get());
  }
  PQflush(client.get());
  Client admin = instance_->Admin();
  while (admin.One("select count(*) from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active'") !=
         "1") {
  }
  authority_.EndAll(Error(v1::REASON_LEASE_EXPIRED, "the lease has expired"));
  EXPECT_TRUE(instance_->BackendsReach(0, absl::Seconds(2)));
}

TEST_F(EndTest, OfALeaseLeavesThousandsOfStatementsUndone) {
  Client client = Connect();
  ASSERT_EQ(client.One("create table done (i int)"), "CREATE TABLE");
  Wire wire(client);
  for (int i = 0; i < 20'000; ++i) wire.Query("insert into done select from pg_sleep(0.01)");
  ASSERT_TRUE(wire.Send());
  Client admin = instance_->Admin("tenant_acme_identity");
  while (admin.One("select count(*) > 20 from done") != "t") {
  }
  authority_.EndAll(Error(v1::REASON_LEASE_EXPIRED, "the lease has expired"));
  EXPECT_TRUE(instance_->BackendsReach(1, absl::Seconds(2))) << "but for this test's own";
  const int done = std::stoi(admin.One("select count(*) from done"));
  EXPECT_LT(done, 500);
  EXPECT_EQ(admin.One("drop table done"), "DROP TABLE");
}

TEST_F(EndTest, DrainLetsTransactionsEnd) {
  Client idle = Connect();
  Client working = Connect();
  ASSERT_EQ(working.One("begin"), "BEGIN");
  std::thread drain([this] { endpoint_->Drain(absl::Seconds(20)); });
  while (idle.One("select 1") == "1") {
  }
  EXPECT_FALSE(idle.ok());
  EXPECT_THAT(idle.error(), testing::HasSubstr("the gateway is shutting down"));
  EXPECT_EQ(working.One("select 1"), "1");
  EXPECT_EQ(working.One("commit"), "COMMIT");
  drain.join();
  EXPECT_EQ(endpoint_->clients(), 0);
  EXPECT_FALSE(Connect().ok());
}

TEST_F(EndTest, DrainTellsWhoIsLoggingIn) {
  Stranger stranger(endpoint_->port());
  stranger.SayHello("lh1.acme");
  char asked[24];
  stranger.Read(asked);
  ASSERT_EQ(asked[0], 'R') << "for its password, which it does not send";
  endpoint_->Drain(absl::Seconds(60));
  EXPECT_EQ(stranger.HearOut(), "E(57P03)");
  EXPECT_EQ(endpoint_->clients(), 0);
}

// In a session's greeting it waits for a server, and its client for the end of the log-in.
TEST_F(EndTest, DrainTellsWhoWaitsForAServerToLogIn) {
  Begin({.max_connections = 1});
  Client working = Connect();
  ASSERT_EQ(working.One("begin"), "BEGIN");
  std::string error;
  std::jthread late([&] { error = Connect("application_name=late").error(); });
  while (metrics_->Expose().find("leasehold_sql_server_connection_waiting{service=\"identity\"} 1") ==
         std::string::npos) {
  }
  std::jthread drain([this] { endpoint_->Drain(absl::Seconds(60)); });
  late.join();
  EXPECT_THAT(error, testing::HasSubstr("the gateway is shutting down"));
  EXPECT_EQ(working.One("commit"), "COMMIT");
}

// They go to a desk, where each waits for its turn; a transaction is under way meanwhile.
TEST_F(EndTest, DrainWhileStrangersLogIn) {
  Begin({.max_clients = 200});
  Client working = Connect();
  ASSERT_EQ(working.One("begin; create table kept (i int)"), "CREATE TABLE");
  std::vector<std::unique_ptr<Stranger>> crowd;
  for (int i = 0; i < 100; ++i) {
    crowd.push_back(std::make_unique<Stranger>(endpoint_->port()));
    // Each name is a new one: its verifier is derived at a desk.
    crowd.back()->SayHello(std::format("lh1.stranger{}", i));
  }
  while (endpoint_->clients() < 101) std::this_thread::yield();
  std::jthread drain([this] { endpoint_->Drain(absl::Seconds(60)); });
  for (const auto& stranger : crowd) EXPECT_THAT(stranger->HearOut(), testing::EndsWith("E(57P03)"));
  EXPECT_EQ(working.One("commit"), "COMMIT");
  drain.join();
  EXPECT_EQ(endpoint_->clients(), 0);
  EXPECT_EQ(instance_->Admin("tenant_acme_identity").One("drop table kept"), "DROP TABLE");
}

TEST_F(EndTest, DrainCutsAtTheDeadline) {
  Client client = Connect();
  Sleep(client);
  endpoint_->Drain(absl::Milliseconds(100));
  EXPECT_EQ(Client::Show(Client::Result(PQgetResult(client.get()), PQclear)), "!57P01");
  EXPECT_TRUE(instance_->BackendsReach(0, absl::Seconds(2)));
}

}  // namespace
}  // namespace leasehold::gateway::testing_stack
