#include "services/gateway/api/undecodable_request.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "common/rpc/raw_call.h"
#include "common/status/error.h"
#include "common/status/grpc.h"
#include "leasehold/v1/tenant.grpc.pb.h"

namespace leasehold::gateway {
namespace {

using ::testing::HasSubstr;

class Tenants : public v1::TenantService::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetTenant(grpc::CallbackServerContext* context, const v1::GetTenantRequest* request,
                                      v1::Tenant* response) override {
    response->set_id(request->id());
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

class UndecodableRequestTest : public ::testing::Test {
 protected:
  UndecodableRequestTest() {
    grpc::ServerBuilder builder;
    builder.experimental().SetInterceptorCreators(RefuseUndecodableRequests());
    builder.RegisterService(&tenants_);
    server_ = builder.BuildAndStart();
    channel_ = server_->InProcessChannel({});
  }

  // Sends `bytes` as they are.
  grpc::Status Send(const std::string& method, const std::string& bytes) {
    grpc::ClientContext context;
    return rpc::CallRaw(channel_, context, method, bytes).status;
  }

  Tenants tenants_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(UndecodableRequestTest, IsAnInvalidArgument) {
  // Field 1, two bytes that are not UTF-8; field 1, longer than what follows.
  for (const std::string& bytes : {std::string("\x0a\x02\xff\xfe"), std::string("\x0a\x7f") + "acme"}) {
    for (const char* method : {"GetTenant", "WatchTenants"}) {
      const absl::Status status =
          FromGrpc(Send(std::string("/leasehold.v1.TenantService/") + method, bytes), "the test");
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << method << status;
      EXPECT_EQ(ReasonOf(status), v1::REASON_INVALID_FIELD) << method;
      EXPECT_THAT(std::string(status.message()), HasSubstr("UTF-8"));
    }
  }
}

TEST_F(UndecodableRequestTest, OthersAreAnsweredAsBefore) {
  EXPECT_TRUE(Send("/leasehold.v1.TenantService/GetTenant",
                   "\x0a\x04"
                   "acme")
                  .ok());
  EXPECT_TRUE(Send("/leasehold.v1.TenantService/GetTenant", "").ok()) << "a message without fields";
  EXPECT_EQ(Send("/leasehold.v1.TenantService/NoSuchMethod", "").error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(Send("/leasehold.v1.TenantService/ListTenants", "").error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace leasehold::gateway
