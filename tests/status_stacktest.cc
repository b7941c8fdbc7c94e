// `leasehold status` and `leasehold instances` on a whole stack, while parts of it are away.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <postgresql/libpq-fe.h>

#include <algorithm>
#include <memory>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

class StatusTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    stack_ = new Stack({"DISTRIBUTED_CONNECTION_TIMEOUT=2", "DB_HEALTH_CHECK_INTERVAL=1", "DB_HEALTH_CHECK_TIMEOUT=1"});
  }
  static void TearDownTestSuite() { delete std::exchange(stack_, nullptr); }

  // Until `leasehold status` says `text` and exits with `exit_code`.
  static bool AwaitStatus(int exit_code, const std::string& text) {
    Stack::Output last;
    const bool met = Eventually([&] {
      last = stack_->Run({"status"});
      return last.exit_code == exit_code && last.out.contains(text);
    });
    if (!met) ADD_FAILURE() << "no '" << text << "': exit " << last.exit_code << "\n" << last.out << last.err;
    return met;
  }

  static inline Stack* stack_ = nullptr;
};

TEST_F(StatusTest, AStackThatIsWellFitsOnOneScreen) {
  stack_->CreateTenant(FreshTenantId());
  ASSERT_TRUE(AwaitStatus(0, "all is well"));
  const Stack::Output shown = stack_->Run({"status"});
  EXPECT_THAT(shown.out, AllOf(HasSubstr("ready"), HasSubstr("instance/alpha"), HasSubstr("registry"),
                               HasSubstr("1 active"), HasSubstr("0 running")));
  EXPECT_LE(std::ranges::count(shown.out, '\n'), 24) << shown.out;
  const Stack::Output json = stack_->Run({"status", "--json"});
  EXPECT_EQ(json.exit_code, 0);
  EXPECT_THAT(json.out, AllOf(HasSubstr("\"provisioner\": {"), HasSubstr("COMPONENT_STATE_OK"), HasSubstr("sparesMax"),
                              Not(HasSubstr("\"problems\""))));
}

TEST_F(StatusTest, AProvisionerThatIsAwayIsNamedWithWhatToDo) {
  const Stack::WithoutSupervisor alone(*stack_);
  stack_->Kill("provisioner/alpha");
  ASSERT_TRUE(AwaitStatus(1, "alpha: no provisioner of it answers"));
  const Stack::Output shown = stack_->Run({"status"});
  EXPECT_THAT(shown.out, AllOf(HasSubstr("start leasehold-provisioner --service alpha"), Not(HasSubstr("all is well")),
                               Not(HasSubstr("beta: "))));
  EXPECT_EQ(stack_->Run({"status", "--json"}).exit_code, 1);
  const Stack::Output instances = stack_->Run({"instances"});
  EXPECT_EQ(instances.exit_code, 1);
  EXPECT_THAT(instances.out, AllOf(HasSubstr("no provisioner of alpha answers"), HasSubstr("beta_central")));
}

TEST_F(StatusTest, AnInstanceThatIsAwayIsNamedAndComesBack) {
  ASSERT_TRUE(AwaitStatus(0, "all is well"));
  {
    const Stack::WithoutSupervisor alone(*stack_);
    stack_->Kill("postgres/beta");
    ASSERT_TRUE(AwaitStatus(1, "beta: its instance: "));
  }
  ASSERT_TRUE(AwaitStatus(0, "all is well"));
  // The last error is that of its way back, if it was seen then.
  EXPECT_THAT(stack_->Run({"status"}).out, AnyOf(HasSubstr("the beta instance does not answer"),
                                                 HasSubstr("the beta instance is starting or stopping")));
}

TEST_F(StatusTest, ClientsThatWaitForTransactionsThatNobodyEndsAreSeen) {
  const std::string id = stack_->CreateTenant(FreshTenantId());
  const std::string dsn = stack_->Acquire(id, "beta").credentials().dsn();
  ASSERT_TRUE(AwaitStatus(0, "all is well"));
  {
    std::vector<std::unique_ptr<pqxx::connection>> holders;
    std::vector<std::unique_ptr<pqxx::work>> open;
    for (int i = 0; i < 3; ++i) {
      open.push_back(std::make_unique<pqxx::work>(*holders.emplace_back(std::make_unique<pqxx::connection>(dsn))));
      open.back()->exec("SELECT 1");
    }
    // Each is refused after two seconds, and comes again.
    const std::jthread late([&dsn](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        SqlStateOf([&dsn] {
          pqxx::connection client(dsn);
          pqxx::work(client).exec("SELECT 1");
        });
      }
    });
    EXPECT_TRUE(AwaitStatus(1, "pool/beta: clients have waited for a server connection"));
    open.clear();
    holders.clear();
  }
  EXPECT_TRUE(AwaitStatus(0, "all is well"));
}

TEST_F(StatusTest, WithNatsDownTheRestIsTold) {
  ASSERT_TRUE(AwaitStatus(0, "all is well"));
  {
    const Stack::WithoutSupervisor alone(*stack_);
    stack_->Kill("nats");
    ASSERT_TRUE(AwaitStatus(1, "nats: "));
    EXPECT_THAT(stack_->Run({"status"}).out,
                AllOf(HasSubstr("start NATS"), HasSubstr("tenants"), Not(HasSubstr("no provisioner of it answers"))));
  }
  EXPECT_TRUE(AwaitStatus(0, "all is well"));
}

TEST_F(StatusTest, WithoutAGatewayItIsOneLine) {
  const Stack::Output shown = stack_->Run({"status", "--gateway", "127.0.0.1:1"});
  EXPECT_EQ(shown.exit_code, 1);
  EXPECT_THAT(shown.err, HasSubstr("does not answer"));
  EXPECT_EQ(std::ranges::count(shown.err, '\n'), 1) << shown.err;
}

TEST_F(StatusTest, InstancesTellOfSizesSessionsAndTheLongestTransaction) {
  const std::string id = stack_->CreateTenant(FreshTenantId());
  const std::string database = absl::StrCat("tenant_", id, "_alpha");
  const std::string dsn = stack_->Acquire(id, "alpha").credentials().dsn();
  const std::unique_ptr<PGconn, decltype(&PQfinish)> session(PQconnectdb(dsn.c_str()), PQfinish);
  PQclear(
      PQexec(session.get(), "CREATE TABLE ballast AS SELECT repeat(md5(i::text), 9) FROM generate_series(1, 30000) i"));
  PQclear(PQexec(session.get(), "BEGIN; SELECT 1"));
  ASSERT_EQ(PQtransactionStatus(session.get()), PQTRANS_INTRANS) << PQerrorMessage(session.get());
  Stack::Output shown = stack_->Run({"instances", "alpha", "--sort", "transaction", "--limit", "1"});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(shown.out, AllOf(HasSubstr(database), Not(HasSubstr("alpha_central")), Not(HasSubstr("beta")),
                               Not(HasSubstr("are not shown"))))
      << "the provisioner's login sees sessions of tenants";
  shown = stack_->Run({"instances", "--limit", "1", "--json"});
  EXPECT_THAT(shown.out, AllOf(HasSubstr(absl::StrCat("\"database\": \"", database, "\"")), HasSubstr("sizeBytes"),
                               HasSubstr("longestTransaction")))
      << "the largest first";
  shown = stack_->Run({"instances", "--tenant", id});
  EXPECT_THAT(shown.out, AllOf(HasSubstr(database), HasSubstr(absl::StrCat("tenant_", id, "_beta")),
                               Not(HasSubstr("alpha_central"))));
}

TEST_F(StatusTest, InstancesRefuseWhatThereIsNot) {
  EXPECT_EQ(stack_->Run({"instances", "--sort", "age"}).exit_code, 2);
  EXPECT_THAT(stack_->Run({"instances", "--sort", "age"}).err,
              HasSubstr("allowed: size, connections, transaction, name"));
  const Stack::Output limit = stack_->Run({"instances", "--limit", "10001"});
  EXPECT_EQ(limit.exit_code, 1);
  EXPECT_THAT(limit.err, AllOf(HasSubstr("limit"), HasSubstr("'10001'"), HasSubstr("1 to 10000")));
  EXPECT_THAT(stack_->Run({"instances", "gamma"}).err, HasSubstr("there is no service gamma"));
  EXPECT_THAT(stack_->Run({"instances", "--tenant", "No Tenant"}).err, HasSubstr("No Tenant"));
}

}  // namespace
}  // namespace leasehold::testing
