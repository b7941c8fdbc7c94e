// leasehold.v1.ProvisionerService over the registry.
#pragma once

#include <grpcpp/grpcpp.h>

#include "leasehold/v1/provisioner.grpc.pb.h"
#include "services/gateway/registry/registry.h"

namespace leasehold::gateway {

// Nothing blocks: calls run on the registry's executor. `registry` outlives it.
class ProvisionerService : public v1::ProvisionerService::CallbackService {
 public:
  explicit ProvisionerService(Registry& registry) : registry_(registry) {}

  grpc::ServerUnaryReactor* ListDesired(grpc::CallbackServerContext* context, const v1::ListDesiredRequest* request,
                                        v1::ListDesiredResponse* response) override;
  grpc::ServerUnaryReactor* ListBackupWork(grpc::CallbackServerContext* context,
                                           const v1::ListBackupWorkRequest* request,
                                           v1::ListBackupWorkResponse* response) override;
  grpc::ServerUnaryReactor* ReportFindings(grpc::CallbackServerContext* context,
                                           const v1::ReportFindingsRequest* request,
                                           v1::ReportFindingsResponse* response) override;

 private:
  Registry& registry_;
};

}  // namespace leasehold::gateway
