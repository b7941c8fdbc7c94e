// Both sides over real sockets.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <format>
#include <fstream>
#include <iterator>

#include "absl/time/clock.h"
#include "common/rpc/channel_credentials.h"
#include "common/rpc/server_credentials.h"
#include "common/tls/testing_certificates.h"
#include "leasehold/v1/tenant.grpc.pb.h"

namespace leasehold::rpc {
namespace {

using tls::Role;
using tls::TestCertificates;

class Tenants final : public v1::TenantService::Service {
 public:
  grpc::Status GetTenant(grpc::ServerContext* context, const v1::GetTenantRequest*, v1::Tenant* tenant) override {
    for (const grpc::string_ref& name : context->auth_context()->FindPropertyValues("x509_subject_alternative_name")) {
      tenant->set_name(std::string(name.data(), name.size()));
    }
    return grpc::Status::OK;
  }
};

class CredentialsTest : public testing::Test {
 protected:
  ~CredentialsTest() override {
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
  }

  void Serve(ClientCertificate client, const tls::TestSubject& subject = {}) {
    const std::string ca = client == ClientCertificate::kNotAsked ? "" : certificates_.ca();
    live_ = *tls::LiveCredentials::Open(
        TestCertificates::OptionsOf(Role::kServer, certificates_.Make("server", subject), ca), absl::Now());
    credentials_ = ServerCredentials(live_, client);
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", credentials_, &port_);
    builder.RegisterService(&tenants_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }

  std::shared_ptr<grpc::Channel> ChannelWith(const std::shared_ptr<grpc::ChannelCredentials>& credentials,
                                             const std::string& host = "127.0.0.1") {
    grpc::ChannelArguments own;  // else channels share a connection
    own.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(std::format("{}:{}", host, port_), credentials, own);
  }
  std::shared_ptr<grpc::Channel> ChannelOf(const tls::IdentityFiles& files) {
    const auto read =
        tls::Credentials::Read(TestCertificates::OptionsOf(Role::kClient, files, certificates_.ca()), absl::Now());
    EXPECT_TRUE(read.ok()) << read.status();
    return ChannelWith(ChannelCredentials(read->get()));
  }
  // Who the server takes us for; "refused" if it does not take us.
  static std::string Call(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    v1::Tenant tenant;
    const grpc::Status status =
        v1::TenantService::NewStub(channel)->GetTenant(&context, v1::GetTenantRequest(), &tenant);
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE) return "refused";
    EXPECT_TRUE(status.ok()) << status.error_message();
    return tenant.name();
  }
  void TakeUp() {
    live_->Look(absl::Now());
    const auto news = live_->Look(absl::Now());
    ASSERT_TRUE(news && news->ok());
  }

  TestCertificates certificates_;
  std::shared_ptr<tls::LiveCredentials> live_;
  Tenants tenants_;
  int port_ = 0;
  std::shared_ptr<grpc::ServerCredentials> credentials_;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(CredentialsTest, TheServerShowsItself) {
  Serve(ClientCertificate::kNotAsked);
  EXPECT_EQ(Call(ChannelOf({})), "");
  EXPECT_EQ(Call(ChannelWith(ChannelCredentials(nullptr))), "refused") << "in clear";
}

TEST_F(CredentialsTest, AnotherCasServerIsNotBelieved) {
  TestCertificates strange("strange CA");
  Serve(ClientCertificate::kNotAsked);
  const auto read = tls::Credentials::Read(TestCertificates::OptionsOf(Role::kClient, {}, strange.ca()), absl::Now());
  EXPECT_EQ(Call(ChannelWith(ChannelCredentials(read->get()))), "refused");
}

TEST_F(CredentialsTest, NorOneOfAnotherName) {
  Serve(ClientCertificate::kNotAsked, {.hosts = {"localhost"}});
  const auto read =
      tls::Credentials::Read(TestCertificates::OptionsOf(Role::kClient, {}, certificates_.ca()), absl::Now());
  EXPECT_EQ(Call(ChannelWith(ChannelCredentials(read->get()), "localhost")), "");
  EXPECT_EQ(Call(ChannelWith(ChannelCredentials(read->get()), "127.0.0.1")), "refused");
}

TEST_F(CredentialsTest, ClientsThatHaveTo) {
  TestCertificates strange("strange CA");
  Serve(ClientCertificate::kRequired);
  EXPECT_EQ(Call(ChannelOf(certificates_.Make("client", {.hosts = {}, .uris = {"spiffe://x/client"}}))),
            "spiffe://x/client");
  EXPECT_EQ(Call(ChannelOf({})), "refused");
  EXPECT_EQ(Call(ChannelOf(strange.Make("client"))), "refused");
}

TEST_F(CredentialsTest, ClientsThatMay) {
  TestCertificates strange("strange CA");
  Serve(ClientCertificate::kOptional);
  EXPECT_EQ(Call(ChannelOf(certificates_.Make("client", {.hosts = {"client.example"}}))), "client.example");
  EXPECT_EQ(Call(ChannelOf({})), "");
  EXPECT_EQ(Call(ChannelOf(strange.Make("client"))), "refused");
}

TEST_F(CredentialsTest, AClientsCertificateThatHasExpired) {
  Serve(ClientCertificate::kRequired);
  const auto files = certificates_.Make("client", {.end = absl::Now() - absl::Minutes(1)});
  const auto read = tls::Credentials::Read(TestCertificates::OptionsOf(Role::kClient, files, certificates_.ca()),
                                           absl::Now() - absl::Minutes(2));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(Call(ChannelWith(ChannelCredentials(read->get()))), "refused");
}

TEST_F(CredentialsTest, RotationKeepsWhoIsConnected) {
  Serve(ClientCertificate::kRequired);
  const auto before = ChannelOf(certificates_.Make("client", {.hosts = {"before"}}));
  EXPECT_EQ(Call(before), "before");
  // Another CA altogether: who is new needs a certificate of that one.
  TestCertificates next("next CA");
  const auto copy = [&](const std::string& from, const std::string& to) {
    std::ifstream file(from);
    certificates_.Write(to, std::string(std::istreambuf_iterator<char>(file), {}));
  };
  const auto server = next.Make("server");
  const auto old_client = certificates_.Make("client", {.hosts = {"old"}});
  const auto old_ca = certificates_.Write("old-ca.crt", (*live_).Get()->ca_pem());
  copy(server.certificate, "server.crt");
  copy(server.key, "server.key");
  copy(next.ca(), "ca.crt");
  TakeUp();
  EXPECT_EQ(Call(before), "before") << "an open connection goes on";
  EXPECT_EQ(Call(ChannelOf(next.Make("client", {.hosts = {"after"}}))), "after");
  EXPECT_EQ(Call(ChannelOf(old_client)), "refused");
  const auto distrustful =
      tls::Credentials::Read(TestCertificates::OptionsOf(Role::kClient, old_client, old_ca), absl::Now());
  EXPECT_EQ(Call(ChannelWith(ChannelCredentials(distrustful->get()))), "refused");
}

TEST_F(CredentialsTest, ABadRotationKeepsTheOld) {
  Serve(ClientCertificate::kNotAsked);
  EXPECT_EQ(Call(ChannelOf({})), "");
  certificates_.Write("server.key", "nonsense");
  live_->Look(absl::Now());
  const auto news = live_->Look(absl::Now());
  ASSERT_TRUE(news && !news->ok());
  EXPECT_EQ(Call(ChannelOf({})), "");
}

}  // namespace
}  // namespace leasehold::rpc
