// One WatchTenants call: the present states page by page, `synced`, then changes. What is sent next is read when the
// reader has taken what was sent before, so a slow one sees the newest state of each tenant and costs the ids of what
// has changed. A watch of one tenant ends with it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/identity/identity.h"
#include "leasehold/v1/tenant.pb.h"
#include "services/gateway/api/stream.h"
#include "services/gateway/registry/registry.h"

namespace leasehold::gateway {

// Lives as long as the call.
class TenantWatch : public std::enable_shared_from_this<TenantWatch> {
 public:
  static grpc::ServerWriteReactor<v1::WatchTenantsResponse>* Start(Registry& registry,
                                                                   const v1::WatchTenantsRequest& request);

 private:
  using Responses = Feed<v1::WatchTenantsResponse>;

  TenantWatch(Registry& registry, std::optional<TenantId> only, std::string service, std::shared_ptr<Responses> feed)
      : registry_(registry), only_(std::move(only)), service_(std::move(service)), feed_(std::move(feed)) {}

  void Changed(const TenantId& id);
  // Any thread: the next batch, if there is one to send and none is on its way.
  void Step();
  // The batch before was written.
  void Written();
  // On the executor, one at a time.
  void SendNext();
  absl::StatusOr<std::vector<v1::WatchTenantsResponse>> Present();
  absl::StatusOr<std::vector<v1::WatchTenantsResponse>> Changes();
  // False if the reader asked for one service and nothing about it is new.
  bool IsNews(const v1::Tenant& tenant);

  Registry& registry_;
  const std::optional<TenantId> only_;
  const std::string service_;
  const std::shared_ptr<Responses> feed_;
  TenantDirectory::Handle following_;  // set by Start(), dropped when the call is over

  absl::Mutex mu_;
  bool busy_ ABSL_GUARDED_BY(mu_) = false;
  bool synced_ ABSL_GUARDED_BY(mu_) = false;
  std::set<TenantId> changed_ ABSL_GUARDED_BY(mu_);

  // SendNext()'s own.
  std::string after_;
  std::map<std::string, std::string> told_;  // of `service_`, by tenant
};

}  // namespace leasehold::gateway
