// What a gateway says of its health while one of its instances is away, and what leases on that one and others do.
#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <postgresql/libpq-fe.h>

#include <csignal>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/rpc/raw_call.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

// grpc.health.v1.Health/Check, for which no header is installed: "SERVING", "NOT_SERVING" or the error's code.
std::string RpcHealth(Stack& stack, const std::string& service) {
  grpc::ClientContext context;
  const rpc::RawAnswer answer =
      rpc::CallRaw(stack.channel(), context, "/grpc.health.v1.Health/Check",
                   absl::StrCat("\n", std::string(1, static_cast<char>(service.size())), service));
  if (!answer.status.ok()) return absl::StrCat("error ", static_cast<int>(answer.status.error_code()));
  return answer.bytes == "\x08\x01" ? "SERVING" : "NOT_SERVING";
}

// To a client that connects and asks for something; empty if it gets it.
std::string WhatIsSaid(const std::string& dsn) {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(PQconnectdb(dsn.c_str()), PQfinish);
  PQclear(PQexec(connection.get(), "SELECT 1"));
  return PQerrorMessage(connection.get());
}

class HealthTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    stack_ = new Stack({"DISTRIBUTED_CONNECTION_TIMEOUT=2", "DB_HEALTH_CHECK_INTERVAL=1", "DB_HEALTH_CHECK_TIMEOUT=1"});
  }
  static void TearDownTestSuite() { delete std::exchange(stack_, nullptr); }

  static google::protobuf::Struct Component(const std::string& name) {
    const httplib::Result result = httplib::Client("http://" + stack_->Env("LEASEHOLD_HTTP")).Get("/healthz");
    google::protobuf::Struct json;
    if (!result || !google::protobuf::util::JsonStringToMessage(result->body, &json).ok()) return {};
    return json.fields().at("components").struct_value().fields().at(name).struct_value();
  }
  static std::string StatusOf(const std::string& name) { return Component(name).fields().at("status").string_value(); }

  static inline Stack* stack_ = nullptr;
};

TEST_F(HealthTest, AnInstanceThatIsAwayFailsItsOwnLeasesAtOnceAndNoOthers) {
  Stack& stack = *stack_;
  const std::string id = stack.CreateTenant(FreshTenantId());
  const std::string alpha = stack.Acquire(id, "alpha").credentials().dsn();
  const std::string beta = stack.Acquire(id, "beta").credentials().dsn();
  ASSERT_EQ(WhatIsSaid(alpha), "");
  EXPECT_TRUE(Eventually([&] { return StatusOf("instance/alpha") == "ok"; }));
  // Measured with a log-in or a question, which may end after the first sign of life.
  EXPECT_TRUE(Eventually([] { return Component("instance/alpha").fields().contains("latency_ms"); }));
  EXPECT_GT(Component("instance/alpha").fields().at("latency_ms").number_value(), 0);
  EXPECT_TRUE(Eventually([&] { return RpcHealth(stack, "alpha") == "SERVING"; }));
  EXPECT_EQ(RpcHealth(stack, "nobody"), absl::StrCat("error ", static_cast<int>(grpc::StatusCode::NOT_FOUND)));
  {
    const Stack::WithoutSupervisor alone(stack);
    stack.Kill("postgres/alpha");
    EXPECT_TRUE(Eventually([&] { return StatusOf("instance/alpha") == "failing"; }));
    EXPECT_THAT(Component("instance/alpha").fields().at("error").string_value(),
                HasSubstr("the alpha instance does not answer"));
    EXPECT_TRUE(Eventually([&] { return RpcHealth(stack, "alpha") == "NOT_SERVING"; }));
    EXPECT_EQ(RpcHealth(stack, "beta"), "SERVING");
    EXPECT_EQ(RpcHealth(stack, "leasehold.v1.LeaseService"), "SERVING");
    // Who comes after a whole time-out of that is told at once, others notice nothing.
    EXPECT_TRUE(Eventually([&] {
      const absl::Time before = absl::Now();
      return WhatIsSaid(alpha).contains("the alpha instance does not answer (it is tried again every second)") &&
             absl::Now() - before < absl::Seconds(1);
    }));
    EXPECT_EQ(WhatIsSaid(beta), "");
    EXPECT_EQ(httplib::Client("http://" + stack.Env("LEASEHOLD_HTTP")).Get("/readyz")->status, 200);
  }
  EXPECT_TRUE(Eventually([&] { return StatusOf("instance/alpha") == "ok"; }));
  EXPECT_TRUE(Eventually([&] { return WhatIsSaid(alpha).empty(); }));
  // The last one may be of its start.
  EXPECT_THAT(Component("instance/alpha").fields().at("last_error").string_value(),
              AnyOf(HasSubstr("does not answer"), HasSubstr("is starting or stopping")));
  EXPECT_TRUE(Eventually([&] { return RpcHealth(stack, "alpha") == "SERVING"; }));
}

TEST_F(HealthTest, AnInstanceThatStandsStillWithAllOfItsConnectionsAtWorkIsNotTakenForBusy) {
  Stack& stack = *stack_;
  const std::string id = stack.CreateTenant(FreshTenantId());
  const std::string dsn = stack.Acquire(id, "beta").credentials().dsn();
  std::vector<std::unique_ptr<pqxx::connection>> sessions;
  std::vector<std::unique_ptr<pqxx::work>> transactions;
  for (int i = 0; i < 3; ++i) {  // max_connections
    sessions.push_back(std::make_unique<pqxx::connection>(dsn));
    transactions.push_back(std::make_unique<pqxx::work>(*sessions.back()));
    transactions.back()->exec("SELECT 1");
  }
  EXPECT_EQ(StatusOf("instance/beta"), "ok");
  stack.SignalAll("postgres/beta", SIGSTOP);
  EXPECT_TRUE(Eventually([] { return StatusOf("instance/beta") == "failing"; }));
  const Stack::Output status = stack.Run({"status"});
  stack.SignalAll("postgres/beta", SIGCONT);
  EXPECT_EQ(status.exit_code, 1);
  EXPECT_THAT(status.out, HasSubstr("beta: its instance: the beta instance does not answer"));
  EXPECT_TRUE(Eventually([] { return StatusOf("instance/beta") == "ok"; }));
  for (const auto& transaction : transactions) transaction->commit();
}

int Answer(const std::string& http, const std::string& path) {
  const httplib::Result result = httplib::Client("http://" + http).Get(path);
  return result ? result->status : 0;
}

// As a balancer sees it: with NATS or the registry away no gateway is ready, and none of them is to be passed over.
TEST_F(HealthTest, AGatewayGoesOnServingWithoutNatsAndTheRegistryUntilItStops) {
  Stack& stack = *stack_;
  const std::string& http = stack.Env("LEASEHOLD_HTTP");
  const std::string id = stack.CreateTenant(FreshTenantId());
  const std::string alpha = stack.Acquire(id, "alpha").credentials().dsn();
  EXPECT_EQ(Answer(http, "/servingz"), 200);
  EXPECT_EQ(RpcHealth(stack, "leasehold.serving"), "SERVING");
  pid_t gateway = stack.PidOf("gateway");
  {
    const Stack::WithoutSupervisor alone(stack);
    stack.Kill("nats");
    stack.Kill("postgres/registry");
    EXPECT_TRUE(Eventually([&] { return StatusOf("nats") == "failing" && StatusOf("registry") == "failing"; }));
    EXPECT_EQ(Answer(http, "/readyz"), 503);
    EXPECT_EQ(Answer(http, "/servingz"), 200);
    EXPECT_TRUE(Eventually([&] { return RpcHealth(stack, "leasehold.v1.LeaseService") == "NOT_SERVING"; }));
    EXPECT_EQ(RpcHealth(stack, "leasehold.serving"), "SERVING");
    EXPECT_EQ(WhatIsSaid(alpha), "") << "which is why";
    // Held in its drain by a transaction.
    pqxx::connection session(alpha);
    pqxx::work transaction(session);
    transaction.exec("SELECT 1");
    stack.Signal("gateway", SIGTERM);
    EXPECT_TRUE(Eventually([&] { return Answer(http, "/servingz") == 503; }));
  }
  stack.AwaitAgain("gateway", gateway);
  EXPECT_TRUE(Eventually([&] { return Answer(http, "/servingz") == 200; }));
}

}  // namespace
}  // namespace leasehold::testing
