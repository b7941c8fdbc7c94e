// leasehold.v1.DoctorService over the registry.
#pragma once

#include <grpcpp/grpcpp.h>

#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "leasehold/v1/doctor.grpc.pb.h"
#include "services/gateway/registry/registry.h"

namespace leasehold::gateway {

// Nothing blocks: calls run on the registry's executor. `registry` and `clock` outlive it.
class DoctorService : public v1::DoctorService::CallbackService {
 public:
  // `resync_interval`: of the provisioners, who should have made a pass that often.
  DoctorService(Registry& registry, const Clock& clock, absl::Duration resync_interval)
      : registry_(registry), clock_(clock), resync_interval_(resync_interval) {}

  grpc::ServerUnaryReactor* Diagnose(grpc::CallbackServerContext* context, const v1::DiagnoseRequest* request,
                                     v1::DiagnoseResponse* response) override;

 private:
  Registry& registry_;
  const Clock& clock_;
  const absl::Duration resync_interval_;
};

}  // namespace leasehold::gateway
