// The registry's gRPC services as a caller meets them: an in-process server over a real PostgreSQL. NATS is not there,
// which only makes events wait. Tests only.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <format>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/clock.h"
#include "common/localserver/localserver.h"
#include "common/postgres/postgres.h"
#include "common/status/error.h"
#include "common/status/grpc.h"
#include "services/gateway/api/backup_service.h"
#include "services/gateway/api/operation_service.h"
#include "services/gateway/api/provisioner_service.h"
#include "services/gateway/api/tenant_service.h"
#include "services/gateway/registry/database_suite.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {

class RegistryServiceTest : public DatabaseSuite {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(DatabaseSuite::SetUp());
    auto nats = jetstream::Client::Connect(
        {.url = std::format("nats://127.0.0.1:{}", localserver::FreePort()), .name = "gateway", .on_state = nullptr});
    ASSERT_TRUE(nats.ok()) << nats.status();
    nats_ = *std::move(nats);

    health_.Require("registry");
    registry_.emplace(RegistryOptions(), *nats_, clock_, metrics_, health_);
    tenant_service_.emplace(*registry_);
    operation_service_.emplace(*registry_);
    backup_service_.emplace(*registry_, HasBackupFolder());
    provisioner_service_.emplace(*registry_);
    grpc::ServerBuilder builder;
    builder.RegisterService(&*tenant_service_);
    builder.RegisterService(&*operation_service_);
    builder.RegisterService(&*backup_service_);
    builder.RegisterService(&*provisioner_service_);
    Configure(builder);
    server_ = builder.BuildAndStart();
    const auto channel = server_->InProcessChannel({});
    tenants_ = v1::TenantService::NewStub(channel);
    operations_ = v1::OperationService::NewStub(channel);
    backups_ = v1::BackupService::NewStub(channel);
    provisioners_ = v1::ProvisionerService::NewStub(channel);
    registry_->Start();
    const absl::Time end = absl::Now() + absl::Seconds(30);
    while (!health_.Ready() && absl::Now() < end) absl::SleepFor(absl::Milliseconds(20));
    ASSERT_TRUE(health_.Ready()) << health_.Json();
  }

  void TearDown() override {
    if (server_) server_->Shutdown(std::chrono::system_clock::now());
    if (registry_) registry_->Stop();
  }

  virtual bool HasBackupFolder() const { return true; }
  virtual void Configure(grpc::ServerBuilder& /*builder*/) {}

  absl::Status Create(const std::string& id, v1::TenantChange* change = nullptr, const std::string& request_id = "") {
    v1::CreateTenantRequest request;
    request.set_request_id(request_id);
    request.mutable_tenant()->set_id(id);
    v1::TenantChange ignored;
    grpc::ClientContext context;
    return FromGrpc(tenants_->CreateTenant(&context, request, change ? change : &ignored), "the test");
  }

  void Report(const std::string& tenant, const std::string& service, v1::ServiceState state, int64_t generation) {
    v1::ServiceStatus status;
    status.set_service(service);
    status.set_state(state);
    status.set_generation(generation);
    const auto changed = registry_->store().Report(*TenantId::Parse(tenant), status);
    ASSERT_TRUE(changed.ok() && *changed) << changed.status();
  }

  FakeClock clock_;
  Metrics metrics_;
  Health health_{clock_};
  std::unique_ptr<jetstream::Client> nats_;
  std::optional<Registry> registry_;
  std::optional<TenantService> tenant_service_;
  std::optional<OperationService> operation_service_;
  std::optional<BackupService> backup_service_;
  std::optional<ProvisionerService> provisioner_service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::TenantService::Stub> tenants_;
  std::unique_ptr<v1::OperationService::Stub> operations_;
  std::unique_ptr<v1::BackupService::Stub> backups_;
  std::unique_ptr<v1::ProvisionerService::Stub> provisioners_;
};

}  // namespace leasehold::gateway
