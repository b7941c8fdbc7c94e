#include "services/provisioner/reconcile/desired_source.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <format>

#include "common/rpc/server_credentials.h"
#include "common/status/error.h"
#include "common/status/grpc.h"
#include "common/tls/testing_certificates.h"

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
  void Start(const std::shared_ptr<grpc::ServerCredentials>& credentials = grpc::InsecureServerCredentials()) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(std::format("127.0.0.1:{}", port_), credentials, &port_);
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

TEST_F(GatewayDesiredTest, OverTlsWithCertificatesThatChange) {
  using tls::TestCertificates;
  TestCertificates ours, next("next CA");
  std::shared_ptr<tls::LiveCredentials> serving = *tls::LiveCredentials::Open(
      TestCertificates::OptionsOf(tls::Role::kServer, ours.Make("gateway"), ours.ca()), absl::Now());
  std::shared_ptr<tls::LiveCredentials> calling = *tls::LiveCredentials::Open(
      TestCertificates::OptionsOf(tls::Role::kClient, ours.Make("provisioner"), ours.ca()), absl::Now());
  const auto credentials = rpc::ServerCredentials(serving, rpc::ClientCertificate::kRequired);
  Start(credentials);
  GatewayDesired gateway(std::format("127.0.0.1:{}", port_), *ServiceName::Parse("identity"), calling);
  EXPECT_TRUE(gateway.ListDesired().ok());
  GatewayDesired in_clear = Client("identity");
  EXPECT_EQ(ReasonOf(in_clear.ListDesired().status()), v1::REASON_REGISTRY_UNAVAILABLE);

  // Everything of another CA, on both sides.
  for (const char* name : {"gateway", "provisioner"}) {
    const tls::IdentityFiles made = next.Make(name);
    ASSERT_EQ(std::rename(made.certificate.c_str(), ours.PathOf(std::string(name) + ".crt").c_str()), 0);
    ASSERT_EQ(std::rename(made.key.c_str(), ours.PathOf(std::string(name) + ".key").c_str()), 0);
  }
  ASSERT_EQ(std::rename(next.ca().c_str(), ours.ca().c_str()), 0);
  for (tls::LiveCredentials* live : {serving.get(), calling.get()}) {
    live->Look(absl::Now());
    const auto news = live->Look(absl::Now());
    ASSERT_TRUE(news && news->ok());
  }
  EXPECT_TRUE(gateway.ListDesired().ok());
  Stop();
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
