// Every RPC of every service is behind the gate, and in the table that the policy goes by.
#include "services/gateway/gate/methods.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/policy/operations.h"
#include "common/rpc/raw_call.h"
#include "common/status/error.h"
#include "common/status/grpc.h"
#include "services/gateway/gate/gate.h"
#include "services/gateway/gate/gates.h"
#include "services/gateway/lease/lease_room.h"

namespace leasehold::gateway {
namespace {

using google::protobuf::MethodDescriptor;
using ::testing::HasSubstr;

// The services of the proto files, as protoc wrote them down: what is added to a file is here without anybody's doing.
class AllRpcs {
 public:
  AllRpcs() {
    google::protobuf::FileDescriptorSet files;
    std::ifstream written(LEASEHOLD_DESCRIPTORS, std::ios::binary);
    EXPECT_TRUE(files.ParseFromIstream(&written)) << LEASEHOLD_DESCRIPTORS;
    for (const auto& file : files.file()) {
      const auto* built = pool_.BuildFile(file);
      for (int i = 0; built != nullptr && i < built->service_count(); ++i) {
        ++services_;
        for (int j = 0; j < built->service(i)->method_count(); ++j) methods_.push_back(built->service(i)->method(j));
      }
    }
  }

  size_t services() const { return services_; }
  const std::vector<const MethodDescriptor*>& methods() const { return methods_; }
  static std::string NameOf(const MethodDescriptor& method) {
    return "/" + method.service()->full_name() + "/" + method.name();
  }
  std::unique_ptr<google::protobuf::Message> RequestOf(const MethodDescriptor& method) {
    return std::unique_ptr<google::protobuf::Message>(factory_.GetPrototype(method.input_type())->New());
  }

 private:
  google::protobuf::DescriptorPool pool_;
  google::protobuf::DynamicMessageFactory factory_{&pool_};
  size_t services_ = 0;
  std::vector<const MethodDescriptor*> methods_;
};

TEST(Methods, EveryRpcIsInTheTableOnceAndEveryRowIsAnRpc) {
  AllRpcs rpcs;
  ASSERT_GT(rpcs.methods().size(), 40u);
  std::set<std::string> names;
  for (const MethodDescriptor* rpc : rpcs.methods()) {
    names.insert(AllRpcs::NameOf(*rpc));
    EXPECT_NE(FindMethod(AllRpcs::NameOf(*rpc)), nullptr) << AllRpcs::NameOf(*rpc);
  }
  std::set<std::string> rows;
  for (const Method& method : Methods()) EXPECT_TRUE(rows.emplace(method.name).second) << method.name;
  EXPECT_EQ(rows, names);
}

TEST(Methods, OperationsAreThoseThatPoliciesKnow) {
  std::set<std::string_view> used;
  for (const Method& method : Methods()) used.insert(method.operation);
  EXPECT_EQ(used, std::set<std::string_view>(Operations().begin(), Operations().end()));
}

TEST(Methods, TheFieldsOfTheTableAreInTheRequests) {
  AllRpcs rpcs;
  for (const MethodDescriptor* rpc : rpcs.methods()) {
    const Method* method = FindMethod(AllRpcs::NameOf(*rpc));
    ASSERT_NE(method, nullptr);
    const auto request = rpcs.RequestOf(*rpc);
    // TextAt dies of a field that is not there.
    for (const Named& named : method->tenants) NameIn(*request, named);
    NameIn(*request, method->service);
    if (method->of_lease) TextAt(*request, "id");
    if (method->by_domain) TextAt(*request, "domain");
  }
}

// A request that says "tenant" or "service" concerns one: the row must not have forgotten it.
TEST(Methods, ARequestThatNamesATenantOrAServiceIsHeldToIt) {
  AllRpcs rpcs;
  for (const MethodDescriptor* rpc : rpcs.methods()) {
    const std::string name = AllRpcs::NameOf(*rpc);
    if (name.ends_with("/ExplainPolicy")) continue;  // asks, and does nothing
    const Method* method = FindMethod(name);
    ASSERT_NE(method, nullptr);
    const auto* fields = rpc->input_type();
    if (fields->FindFieldByName("tenant") != nullptr && !method->of_lease) {
      EXPECT_FALSE(method->tenants.empty()) << name;
    }
    const bool watches = name.ends_with("/WatchTenants");  // of a tenant, whatever service it is asked about
    if (fields->FindFieldByName("service") != nullptr && !watches) {
      EXPECT_NE(method->service.how, Named::How::kNowhere) << name;
    }
  }
}

TEST(NameIn, WhatIsNotNamedIsAll) {
  v1::GetOperationRequest operation;
  const Named prefix = {Named::How::kByPrefix, "id"};
  EXPECT_EQ(NameIn(operation, prefix), "*");
  operation.set_id("acme.3");
  EXPECT_EQ(NameIn(operation, prefix), "acme");
  operation.set_id("acme.globex.3");
  EXPECT_EQ(NameIn(operation, prefix), "acme.globex") << "as the handler splits it";
  operation.set_id("acme");
  EXPECT_EQ(NameIn(operation, prefix), "acme");
  operation.set_id(".3");
  EXPECT_EQ(NameIn(operation, prefix), "*");
  v1::CreateTenantRequest create;
  EXPECT_EQ(NameIn(create, {Named::How::kBy, "tenant.id"}), "*");
  create.mutable_tenant()->set_id("acme");
  EXPECT_EQ(NameIn(create, {Named::How::kBy, "tenant.id"}), "acme");
  EXPECT_EQ(NameIn(v1::RestoreBackupRequest(), {Named::How::kOptionally, "tenant.id"}), "");
}

// All services behind their gates, in a real server. The services themselves answer UNIMPLEMENTED: whoever hears that
// was let in.
class EveryRpcTest : public LeaseRoomTest {
 protected:
  template <typename Gate, typename Service>
  void Add() {
    auto service = std::make_unique<Service>();
    gates_.push_back(std::make_unique<Gate>(*service));
    services_.push_back(std::move(service));
  }

  EveryRpcTest() {
    Add<AuditServiceGate, v1::AuditService::CallbackService>();
    Add<BackupServiceGate, v1::BackupService::CallbackService>();
    Add<DoctorServiceGate, v1::DoctorService::CallbackService>();
    Add<InstanceServiceGate, v1::InstanceService::CallbackService>();
    Add<LeaseServiceGate, v1::LeaseService::CallbackService>();
    Add<LogServiceGate, v1::LogService::CallbackService>();
    Add<MigrationServiceGate, v1::MigrationService::CallbackService>();
    Add<OperationServiceGate, v1::OperationService::CallbackService>();
    Add<PolicyServiceGate, v1::PolicyService::CallbackService>();
    Add<PoolServiceGate, v1::PoolService::CallbackService>();
    Add<ProvisionerServiceGate, v1::ProvisionerService::CallbackService>();
    Add<StatusServiceGate, v1::StatusService::CallbackService>();
    Add<TenantServiceGate, v1::TenantService::CallbackService>();
  }

  void Serve(bool with_interceptor) {
    grpc::ServerBuilder builder;
    if (with_interceptor) {
      std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
      interceptors.push_back(CheckCallsAt(gate_));
      builder.experimental().SetInterceptorCreators(std::move(interceptors));
    }
    builder.SetContextAllocator(NewGatedContexts());
    for (const auto& gate : gates_) builder.RegisterService(gate->service());
    server_ = builder.BuildAndStart();
    channel_ = server_->InProcessChannel({});
  }
  ~EveryRpcTest() override {
    if (server_) server_->Shutdown();
  }

  // An empty request.
  absl::Status Send(const std::string& method, const std::string& token) {
    grpc::ClientContext context;
    if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
    return FromGrpc(rpc::CallRaw(channel_, context, method, "").status, "test");
  }

  std::string Token(const std::string& name) {
    ApiTokens tokens;
    const NewApiToken token = MakeApiToken(name, clock_.Now(), absl::InfiniteFuture());
    EXPECT_TRUE(tokens.Add(token.kept).ok());
    authenticator_.SetTokens(std::move(tokens));
    return std::string(token.text.reveal());
  }

  AllRpcs rpcs_;
  Metrics metrics_;
  Authenticator authenticator_{clock_};
  Gate gate_{{.authenticator = authenticator_,
              .directory = directory_,
              .book = book_,
              .clock = clock_,
              .metrics = metrics_,
              .default_ttl = absl::Minutes(15)}};
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::vector<std::unique_ptr<Gated>> gates_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(EveryRpcTest, IsRefusedWithoutARule) {
  ASSERT_EQ(gates_.size(), rpcs_.services()) << "a service has no gate in this test";
  Serve(true);
  gate_.SetPolicy(*Policy::Parse(""));
  const std::string token = Token("nobody");
  for (const MethodDescriptor* rpc : rpcs_.methods()) {
    const std::string name = AllRpcs::NameOf(*rpc);
    EXPECT_EQ(ReasonOf(Send(name, "")), v1::REASON_NO_CREDENTIALS) << name;
    // About themselves everybody may ask: ExplainPolicy is the one that lets this caller in.
    const absl::Status status = Send(name, token);
    if (name.ends_with("/ExplainPolicy")) {
      EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
    } else {
      EXPECT_EQ(ReasonOf(status), v1::REASON_NOT_PERMITTED) << name << status;
    }
  }
}

TEST_F(EveryRpcTest, IsLetInByARuleForEverything) {
  Serve(true);
  gate_.SetPolicy(
      *Policy::Parse("rules:\n- {name: a, principals: ['token:*'], operations: ['*'], services: ['*'], tenants: ['*'], "
                     "access: [read-write], others_leases: true}"));
  const std::string token = Token("somebody");
  for (const MethodDescriptor* rpc : rpcs_.methods()) {
    const absl::Status status = Send(AllRpcs::NameOf(*rpc), token);
    EXPECT_TRUE(absl::IsUnimplemented(status)) << AllRpcs::NameOf(*rpc) << status;
  }
}

TEST_F(EveryRpcTest, EachOperationLetsInItsOwnRpcsAlone) {
  Serve(true);
  const std::string token = Token("somebody");
  for (const std::string_view operation : Operations()) {
    gate_.SetPolicy(*Policy::Parse(std::format(
        "rules:\n- {{name: a, principals: ['token:*'], operations: ['{}'], services: ['*'], tenants: ['*'], "
        "access: [read-write], others_leases: true}}",
        operation)));
    for (const MethodDescriptor* rpc : rpcs_.methods()) {
      const std::string name = AllRpcs::NameOf(*rpc);
      const bool own = FindMethod(name)->operation == operation || name.ends_with("/ExplainPolicy");
      EXPECT_EQ(absl::IsUnimplemented(Send(name, token)), own) << operation << " " << name;
    }
  }
}

TEST_F(EveryRpcTest, IsRefusedWhereNobodyDecides) {
  Serve(false);
  for (const MethodDescriptor* rpc : rpcs_.methods()) {
    EXPECT_EQ(ReasonOf(Send(AllRpcs::NameOf(*rpc), "")), v1::REASON_NOT_PERMITTED) << AllRpcs::NameOf(*rpc);
  }
}

// One that somebody adds tomorrow, behind its gate as make_gates.cc writes it, and forgets in the table.
class NewService : public grpc::Service {
 public:
  static constexpr char kRpc[] = "/leasehold.v1.NewService/NewRpc";
  NewService() {
    AddMethod(new grpc::internal::RpcServiceMethod(kRpc, grpc::internal::RpcMethod::NORMAL_RPC, nullptr));
    MarkMethodCallback(0, new grpc::internal::CallbackUnaryHandler<v1::GetLeaseRequest, v1::Lease>(
                              [this](grpc::CallbackServerContext* context, const v1::GetLeaseRequest*, v1::Lease*) {
                                const absl::Status refusal = RefusalOf(*context);
                                if (refusal.ok()) ++let_in;
                                return AnswerNow(context, refusal);
                              }));
  }
  int let_in = 0;
};

class NewServiceGate : public Gated {
 public:
  explicit NewServiceGate(NewService& service) : service_(service) {}
  grpc::Service* service() override { return &service_; }

 private:
  NewService& service_;
};

TEST_F(EveryRpcTest, AnRpcThatNobodyThoughtOfIsAllowedByNothing) {
  auto service = std::make_unique<NewService>();
  const NewService& added = *service;
  gates_.push_back(std::make_unique<NewServiceGate>(*service));
  services_.push_back(std::move(service));
  Serve(true);
  gate_.SetPolicy(
      *Policy::Parse("rules:\n- {name: a, principals: ['*'], operations: ['*'], services: ['*'], tenants: ['*']}"));
  const absl::Status refused = Send(NewService::kRpc, Token("somebody"));
  EXPECT_EQ(ReasonOf(refused), v1::REASON_NOT_PERMITTED);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("no policy can allow"));
  EXPECT_EQ(added.let_in, 0);
}

}  // namespace
}  // namespace leasehold::gateway
