// leasehold.v1.InstanceService over the services' provisioners.
#pragma once

#include <grpcpp/grpcpp.h>

#include "leasehold/v1/instance.grpc.pb.h"
#include "services/gateway/api/instance_asker.h"
#include "services/gateway/lease/services.h"

namespace leasehold::gateway {

// Nothing blocks: the asker's threads do. `asker` and `services` outlive it.
class InstanceService : public v1::InstanceService::CallbackService {
 public:
  InstanceService(InstanceAsker& asker, const KnownServices& services) : asker_(asker), services_(services) {}

  grpc::ServerUnaryReactor* ListInstances(grpc::CallbackServerContext* context, const v1::ListInstancesRequest* request,
                                          v1::ListInstancesResponse* response) override;

 private:
  // Sorted; the one that was asked for.
  absl::StatusOr<std::vector<std::string>> Asked(const std::string& service) const;

  InstanceAsker& asker_;
  const KnownServices& services_;
};

}  // namespace leasehold::gateway
