#include "services/provisioner/reconcile/desired_source.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <format>

#include "common/status/error.h"
#include "common/status/grpc.h"

namespace leasehold::provisioner {
namespace {

// Two pages of one tenant each.
class TwoPages : public v1::ProvisionerService::Service {
 public:
  grpc::Status ListDesired(grpc::ServerContext* /*context*/, const v1::ListDesiredRequest* request,
                           v1::ListDesiredResponse* response) override {
    if (request->service() != "identity") return ToGrpc(Error(v1::REASON_SERVICE_NOT_FOUND, "no such service"));
    response->add_tenants()->set_id(request->page_token().empty() ? "one" : "two");
    if (request->page_token().empty()) response->set_next_page_token("more");
    return grpc::Status::OK;
  }
};

class GatewayDesiredTest : public ::testing::Test {
 protected:
  void Start() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(std::format("127.0.0.1:{}", port_), grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  void Stop() {
    server_->Shutdown(std::chrono::system_clock::now());
    server_.reset();
  }
  GatewayDesired Client(std::string_view service) {
    return {std::format("127.0.0.1:{}", port_), *ServiceName::Parse(service)};
  }

  int port_ = 0;
  TwoPages service_;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(GatewayDesiredTest, ReadsAllPages) {
  Start();
  GatewayDesired gateway = Client("identity");
  const auto tenants = gateway.ListDesired();
  ASSERT_TRUE(tenants.ok()) << tenants.status();
  ASSERT_EQ(tenants->size(), 2u);
  EXPECT_EQ(tenants->back().id(), "two");
  GatewayDesired stranger = Client("payroll");
  EXPECT_EQ(ReasonOf(stranger.ListDesired().status()), v1::REASON_SERVICE_NOT_FOUND);
}

TEST_F(GatewayDesiredTest, AGatewayThatIsBackIsFoundAtOnce) {
  Start();
  GatewayDesired gateway = Client("identity");
  ASSERT_TRUE(gateway.ListDesired().ok());
  Stop();
  for (int i = 0; i < 4; ++i) {
    const absl::Status away = gateway.ListDesired().status();
    EXPECT_EQ(ReasonOf(away), v1::REASON_REGISTRY_UNAVAILABLE) << away;
    EXPECT_EQ(ClientText(away), "the gateway does not answer");
  }
  Start();
  // By then gRPC waits up to a second between its attempts, as long as one call does.
  absl::Status back;
  for (int i = 0; i < 3; ++i) {
    back = gateway.ListDesired().status();
    if (back.ok()) break;
  }
  EXPECT_TRUE(back.ok()) << back;
}

}  // namespace
}  // namespace leasehold::provisioner
