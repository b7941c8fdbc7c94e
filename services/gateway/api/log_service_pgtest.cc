// Switching the log of statements while clients are connected, on a real PostgreSQL.
#include "services/gateway/api/log_service.h"

#include <gmock/gmock.h>

#include <functional>
#include <optional>

#include "common/status/grpc.h"
#include "services/gateway/session/testing_stack.h"

namespace leasehold::gateway::testing_stack {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class LogServiceTest : public EndpointTest {
 protected:
  void SetUp() override {
    EndpointTest::SetUp();
    v1::Config config;
    config.add_services()->set_name("identity");
    services_.emplace(config);
    // Nobody is asked here.
    nats_ = *jetstream::Client::Connect({.url = "nats://127.0.0.1:1", .name = "test"});
    asker_.emplace(*nats_, *services_);
    service_ = std::make_unique<LogService>(endpoint_->query_log(), *asker_, config);
    grpc::ServerBuilder builder;
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    stub_ = v1::LogService::NewStub(server_->InProcessChannel({}));
  }
  void TearDown() override {
    server_->Shutdown();
    EndpointTest::TearDown();
  }

  absl::Status Set(bool enabled, const std::string& service = "") {
    v1::SetQueryLogRequest request;
    request.set_service(service);
    request.set_enabled(enabled);
    grpc::ClientContext context;
    v1::SetQueryLogResponse response;
    const absl::Status status = FromGrpc(stub_->SetQueryLog(&context, request, &response), "the test");
    if (status.ok()) {
      EXPECT_EQ(response.query_logs_size(), 1);
      EXPECT_EQ(response.query_logs(0).enabled(), enabled);
    }
    return status;
  }
  absl::StatusOr<v1::ListQueryLogsResponse> List(const std::string& service = "") {
    v1::ListQueryLogsRequest request;
    request.set_service(service);
    grpc::ClientContext context;
    v1::ListQueryLogsResponse response;
    const absl::Status status = FromGrpc(stub_->ListQueryLogs(&context, request, &response), "the test");
    if (!status.ok()) return status;
    return response;
  }
  static std::string Logged(const std::function<void()>& work) {
    ::testing::internal::CaptureStderr();
    work();
    return ::testing::internal::GetCapturedStderr();
  }

  std::optional<KnownServices> services_;
  std::unique_ptr<jetstream::Client> nats_;
  std::optional<InstanceAsker> asker_;
  std::unique_ptr<LogService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::LogService::Stub> stub_;
};

TEST_F(LogServiceTest, IsOffUntilSaidOtherwiseAndOffAgainAtOnce) {
  Client client = Connect();
  EXPECT_THAT(Logged([&] { EXPECT_EQ(client.One("select 1 + 1"), "2"); }), Not(HasSubstr("select")));
  ASSERT_EQ(Set(true), absl::OkStatus());
  EXPECT_TRUE(List()->query_logs(0).enabled());
  // The session was there before; what it binds is not told.
  const std::string on = Logged([&] {
    EXPECT_EQ(client.One("select 1 + 2"), "3");
    EXPECT_EQ(client.OneBound("select upper($1::text)", {"sesame"}), "SESAME");
  });
  EXPECT_THAT(on, AllOf(HasSubstr("select 1 + 2"), HasSubstr("select upper($1::text)"), Not(HasSubstr("sesame"))));
  ASSERT_EQ(Set(false, "identity"), absl::OkStatus());
  EXPECT_FALSE(List("identity-service")->query_logs(0).enabled());
  EXPECT_THAT(Logged([&] { EXPECT_EQ(client.One("select 1 + 3"), "4"); }), Not(HasSubstr("select")));
}

TEST_F(LogServiceTest, AServiceThatIsNotThereIsNamedWithThoseThatAre) {
  for (const absl::Status& refused : {Set(true, "payroll"), List("payroll").status()}) {
    EXPECT_EQ(ReasonOf(refused), v1::REASON_SERVICE_NOT_FOUND);
    EXPECT_THAT(std::string(refused.message()), AllOf(HasSubstr("payroll"), HasSubstr("identity")));
  }
  EXPECT_EQ(ReasonOf(Set(true, "Pay Roll")), v1::REASON_INVALID_FIELD);
  EXPECT_FALSE(List()->query_logs(0).enabled());
}

}  // namespace
}  // namespace leasehold::gateway::testing_stack
