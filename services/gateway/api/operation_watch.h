// One WatchOperation call: the operation now, each change of it, and the end after its final state.
#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "leasehold/v1/operation.pb.h"
#include "services/gateway/api/stream.h"
#include "services/gateway/registry/operation_id.h"
#include "services/gateway/registry/registry.h"

namespace leasehold::gateway {

// Lives as long as the call. Any change of the tenant makes it look at the operation again.
class OperationWatch : public std::enable_shared_from_this<OperationWatch> {
 public:
  static grpc::ServerWriteReactor<v1::Operation>* Start(Registry& registry, const v1::GetOperationRequest& request);

 private:
  OperationWatch(Registry& registry, OperationId id, std::shared_ptr<Feed<v1::Operation>> feed)
      : registry_(registry), id_(std::move(id)), feed_(std::move(feed)) {}

  // Looks, or looks again after the present look. Any thread.
  void Look();
  void Load();  // on the executor

  Registry& registry_;
  const OperationId id_;
  const std::shared_ptr<Feed<v1::Operation>> feed_;
  TenantDirectory::Handle following_;  // set by Start(), dropped when the call is over

  absl::Mutex mu_;
  bool loading_ ABSL_GUARDED_BY(mu_) = false;
  bool again_ ABSL_GUARDED_BY(mu_) = false;
  std::string sent_;  // of the one load that runs
};

}  // namespace leasehold::gateway
