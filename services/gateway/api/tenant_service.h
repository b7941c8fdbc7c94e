// leasehold.v1.TenantService over the registry: fields are checked here, at the border; the work is the store's.
#pragma once

#include <grpcpp/grpcpp.h>

#include "leasehold/v1/tenant.grpc.pb.h"
#include "services/gateway/registry/registry.h"

namespace leasehold::gateway {

// Nothing blocks: calls run on the registry's executor. `registry` outlives it.
class TenantService : public v1::TenantService::CallbackService {
 public:
  explicit TenantService(Registry& registry) : registry_(registry) {}

  grpc::ServerUnaryReactor* CreateTenant(grpc::CallbackServerContext* context, const v1::CreateTenantRequest* request,
                                         v1::TenantChange* response) override;
  grpc::ServerUnaryReactor* GetTenant(grpc::CallbackServerContext* context, const v1::GetTenantRequest* request,
                                      v1::Tenant* response) override;
  grpc::ServerUnaryReactor* ListTenants(grpc::CallbackServerContext* context, const v1::ListTenantsRequest* request,
                                        v1::ListTenantsResponse* response) override;
  grpc::ServerUnaryReactor* UpdateTenant(grpc::CallbackServerContext* context, const v1::UpdateTenantRequest* request,
                                         v1::TenantChange* response) override;
  grpc::ServerUnaryReactor* SuspendTenant(grpc::CallbackServerContext* context, const v1::SuspendTenantRequest* request,
                                          v1::TenantChange* response) override;
  grpc::ServerUnaryReactor* ResumeTenant(grpc::CallbackServerContext* context, const v1::ResumeTenantRequest* request,
                                         v1::TenantChange* response) override;
  grpc::ServerUnaryReactor* DeleteTenant(grpc::CallbackServerContext* context, const v1::DeleteTenantRequest* request,
                                         v1::TenantChange* response) override;
  grpc::ServerUnaryReactor* UndeleteTenant(grpc::CallbackServerContext* context,
                                           const v1::UndeleteTenantRequest* request,
                                           v1::TenantChange* response) override;
  grpc::ServerUnaryReactor* RetryTenant(grpc::CallbackServerContext* context, const v1::RetryTenantRequest* request,
                                        v1::TenantChange* response) override;
  grpc::ServerUnaryReactor* CloneTenant(grpc::CallbackServerContext* context, const v1::CloneTenantRequest* request,
                                        v1::TenantChange* response) override;
  grpc::ServerWriteReactor<v1::WatchTenantsResponse>* WatchTenants(grpc::CallbackServerContext* context,
                                                                   const v1::WatchTenantsRequest* request) override;

 private:
  Registry& registry_;
};

}  // namespace leasehold::gateway
