// Gateways are restarted one after the other under load, as an upgrade does it: no transaction fails that had begun,
// and none is asked for twice. Clients know both addresses, and connect anew when they are told 57P01 between
// transactions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <postgresql/libpq-fe.h>

#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "common/config/config.h"
#include "tests/stack/gateway.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

constexpr int kRounds = 3;
constexpr int kTenants = 4;
constexpr int kClients = 16;
// After so many transactions a client takes another connection, as pools do: so there are log-ins at all times, and a
// gateway that has come back gets clients.
constexpr int kTransactionsPerConnection = 20;
constexpr int kTransactionsPerRestart = 400;
constexpr absl::Duration kPatience = absl::Seconds(30);

int PortOf(const std::string& address) { return ParseHostPort("", address)->port; }

// One connection at a time, to whichever gateway lets it in.
class Client {
 public:
  explicit Client(std::string conninfo) : conninfo_(std::move(conninfo)) {}

  // Empty if `body` was written and acknowledged, else what went wrong.
  std::string Write(const std::string& body, bool alone) {
    const std::string insert = absl::StrFormat("INSERT INTO notes (body) VALUES ('%s')", body);
    if (const std::string begun = UntilAnswered(alone ? insert : "BEGIN"); !begun.empty()) return begun;
    if (alone) return "";
    for (const std::string& sql : {std::string("SELECT pg_sleep(0.002)"), insert, std::string("COMMIT")}) {
      if (Outcome outcome = Do(sql); outcome != Outcome::kDone) return absl::StrCat(sql, ": ", said_);
    }
    return "";
  }
  void Leave() { connection_.reset(); }

  // Of the gateway that served it last.
  int port() const { return port_; }
  // How often it was told that the gateway stops, when nothing had begun.
  int told() const { return told_; }

 private:
  enum class Outcome { kDone, kToldToGo, kFailed };
  using Connection = std::unique_ptr<PGconn, decltype(&PQfinish)>;

  // The first statement of a transaction: what is answered 57P01 has not run.
  std::string UntilAnswered(const std::string& sql) {
    const absl::Time end = absl::Now() + kPatience;
    while (absl::Now() < end) {
      if (connection_ == nullptr && !Connect()) continue;
      const Outcome outcome = Do(sql);
      if (outcome == Outcome::kDone) return "";
      if (outcome == Outcome::kFailed) return absl::StrCat(sql, ": ", said_);
      ++told_;
      Leave();
    }
    return absl::StrCat("no gateway lets it in: ", said_);
  }

  bool Connect() {
    fatal_.clear();
    connection_ = Connection(PQconnectStart(conninfo_.c_str()), PQfinish);
    // libpq takes a FATAL that it did not wait for, for a notice, and that may come with the end of the log-in.
    PQsetNoticeReceiver(
        connection_.get(), [](void* self, const PGresult* notice) { static_cast<Client*>(self)->Note(notice); }, this);
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    while (status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) {
      pollfd socket{.fd = PQsocket(connection_.get()),
                    .events = static_cast<short>(status == PGRES_POLLING_READING ? POLLIN : POLLOUT),
                    .revents = 0};
      poll(&socket, 1, static_cast<int>(absl::ToInt64Milliseconds(kPatience)));
      status = PQconnectPoll(connection_.get());
    }
    if (status == PGRES_POLLING_FAILED) {
      said_ = PQerrorMessage(connection_.get());
      Leave();
      return false;
    }
    port_ = std::stoi(PQport(connection_.get()));
    return true;
  }

  Outcome Do(const std::string& sql) {
    bool done = PQsendQuery(connection_.get(), sql.c_str()) == 1;
    said_ = PQerrorMessage(connection_.get());
    // Behind the FATAL libpq tells of the end of the connection, with a result that has no SQLSTATE.
    while (PGresult* const result = PQgetResult(connection_.get())) {
      const ExecStatusType status = PQresultStatus(result);
      if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        done = false;
        absl::StrAppend(&said_, PQresultErrorMessage(result));
        Note(result);
      }
      PQclear(result);
    }
    if (done) return Outcome::kDone;
    return fatal_ == "57P01" ? Outcome::kToldToGo : Outcome::kFailed;
  }

  void Note(const PGresult* result) {
    const char* const severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char* const state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (severity != nullptr && state != nullptr && std::string_view(severity) == "FATAL") fatal_ = state;
  }

  const std::string conninfo_;
  Connection connection_{nullptr, PQfinish};
  std::string said_;
  std::string fatal_;  // of this connection: SQLSTATE
  int port_ = 0;
  int told_ = 0;
};

class RollingTest : public ::testing::Test {
 protected:
  RollingTest() {
    for (int i = 0; i < kTenants; ++i) tenants_.push_back(stack_.CreateTenant(FreshTenantId("rolling")));
  }

  static v1::AcquireLeaseResponse AcquireAt(const Gateway& gateway, const std::string& tenant) {
    v1::AcquireLeaseRequest request;
    request.set_tenant(tenant);
    request.set_service("alpha");
    v1::AcquireLeaseResponse response;
    const auto channel = grpc::CreateChannel(gateway.grpc(), grpc::InsecureChannelCredentials());
    const grpc::Status status = v1::LeaseService::NewStub(channel)->AcquireLease(Deadline().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  // For libpq, with the ports of one gateway or both.
  static std::string Conninfo(const v1::Credentials& credentials, const std::vector<int>& ports) {
    std::string hosts, numbers;
    for (const int port : ports) {
      const char* const comma = hosts.empty() ? "" : ",";
      absl::StrAppend(&hosts, comma, "127.0.0.1");
      absl::StrAppend(&numbers, comma, port);
    }
    return absl::StrFormat("host=%s port=%s dbname=%s user=%s password=%s load_balance_hosts=random", hosts, numbers,
                           credentials.database(), credentials.user(), credentials.password());
  }

  Stack& stack_ = SharedStack();
  Gateway one_{stack_};
  Gateway other_{stack_};
  std::vector<std::string> tenants_;
};

TEST_F(RollingTest, NoTransactionFailsAndNoneIsLost) {
  const std::vector<int> ports = {PortOf(one_.sql()), PortOf(other_.sql())};
  absl::Mutex mu;
  std::map<std::string, std::multiset<std::string>> acknowledged;  // by tenant
  std::vector<std::string> failures;
  std::map<int, int> served;  // transactions, by port
  int told = 0;
  std::atomic<int> done = 0;
  std::atomic<bool> over = false;

  std::vector<std::thread> clients;
  for (int c = 0; c < kClients; ++c) {
    const std::string tenant = tenants_[static_cast<size_t>(c) % tenants_.size()];
    // Each has its lease from one of them, and uses it at both.
    const v1::AcquireLeaseResponse lease = AcquireAt(c / kTenants % 2 == 0 ? one_ : other_, tenant);
    clients.emplace_back([&, c, tenant, conninfo = Conninfo(lease.credentials(), ports)] {
      Client client(conninfo);
      for (int i = 0; !over; ++i) {
        const std::string body = absl::StrCat(c, ":", i);
        const std::string failure = client.Write(body, i % 4 == 0);
        if (i % kTransactionsPerConnection == 0) client.Leave();
        const absl::MutexLock lock(&mu);
        if (failure.empty()) {
          acknowledged[tenant].insert(body);
          ++served[client.port()];
          ++done;
        } else {
          failures.push_back(absl::StrCat(body, " ", failure));
          client.Leave();
        }
      }
      const absl::MutexLock lock(&mu);
      told += client.told();
    });
  }
  const auto more_is_done = [&done] {
    return Eventually([&done, until = done + kTransactionsPerRestart] { return done > until; });
  };
  const auto served_at = [&](int port) {
    const absl::MutexLock lock(&mu);
    return served[port];
  };

  EXPECT_TRUE(more_is_done());
  for (int round = 0; round < kRounds; ++round) {
    for (const auto& [restarted, stays] : {std::pair(&one_, &other_), std::pair(&other_, &one_)}) {
      const v1::AcquireLeaseResponse from_before = AcquireAt(*restarted, tenants_[0]);
      EXPECT_EQ(restarted->Restart([&, &its_neighbour = *stays] {
        pqxx::connection session(Conninfo(from_before.credentials(), {PortOf(its_neighbour.sql())}));
        EXPECT_EQ(Value(session, "SELECT 1").value_or("nothing"), "1") << "a lease of the gateway that is away";
        EXPECT_TRUE(more_is_done());
      }),
                0);
      const int port = PortOf(restarted->sql());
      EXPECT_TRUE(Eventually([&, until = served_at(port) + 20] { return served_at(port) > until; }))
          << "it has clients again";
    }
  }
  over = true;
  for (std::thread& client : clients) client.join();

  EXPECT_THAT(failures, IsEmpty()) << "of " << done;
  EXPECT_GT(told, 0) << "the restarts came when nobody was connected";
  for (const std::string& tenant : tenants_) {
    pqxx::connection session(stack_.Acquire(tenant, "alpha").credentials().dsn());
    std::multiset<std::string> found;
    for (const auto& row : pqxx::nontransaction(session).exec("SELECT body FROM notes")) {
      found.insert(row[0].as<std::string>());
    }
    EXPECT_THAT(found, ElementsAreArray(acknowledged[tenant])) << tenant;
  }
  std::printf("%d transactions, %d of them at first told 57P01\n", done.load(), told);
}

}  // namespace
}  // namespace leasehold::testing
