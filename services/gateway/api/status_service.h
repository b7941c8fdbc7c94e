// leasehold.v1.StatusService: the registry, the provisioners and what the gateway knows of itself, put together.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <string>

#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/daemon/daemon.h"
#include "leasehold/v1/status.grpc.pb.h"
#include "services/gateway/api/instance_asker.h"
#include "services/gateway/registry/registry.h"

namespace leasehold::gateway {

// Nothing blocks: calls run on the registry's executor, the asker's, and where instances are asked. What is in Parts
// outlives it.
class StatusService : public v1::StatusService::CallbackService {
 public:
  struct Parts {
    Registry& registry;
    InstanceAsker& asker;
    const Health& health;
    const Clock& clock;
    // Has instances asked for a sign of life, of which `health` hears before `done` is called, once, on any thread.
    std::function<void(std::move_only_function<void()> done)> ask_instances;
    std::function<int()> sessions;    // SQL clients of this gateway
    std::function<int64_t()> leases;  // that it knows of
  };
  // `name`: the gateway's. `resync_interval`: of the provisioners.
  StatusService(Parts parts, std::string name, absl::Duration resync_interval);

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context, const v1::GetStatusRequest* request,
                                      v1::GetStatusResponse* response) override;

 private:
  struct Round;

  // Blocks: what the registry knows.
  absl::Status ReadRegistry(v1::GetStatusResponse& to);
  void Complete(InstanceAsker::Answers answers, v1::GetStatusResponse& to);
  void TellOfGateway(v1::GetStatusResponse& to);

  const Parts parts_;
  const std::string name_;
  const absl::Duration resync_interval_;
  const absl::Time start_time_;
};

}  // namespace leasehold::gateway
