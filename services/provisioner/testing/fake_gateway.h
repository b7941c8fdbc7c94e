// A gateway's list of desired tenants, as a test says it. Tests only.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/status/error.h"
#include "services/provisioner/reconcile/desired_source.h"

namespace leasehold::provisioner {

// Any thread.
class FakeGateway : public DesiredSource {
 public:
  absl::StatusOr<std::vector<v1::DesiredTenant>> ListDesired() override {
    std::vector<v1::DesiredTenant> list;
    std::function<void()> meanwhile;
    {
      const absl::MutexLock lock(&mu_);
      if (down_) return Error(v1::REASON_REGISTRY_UNAVAILABLE, "the gateway does not answer");
      for (const auto& [id, tenant] : tenants_) list.push_back(tenant);
      std::swap(meanwhile, meanwhile_);
    }
    if (meanwhile) meanwhile();
    return list;
  }

  // Runs once, while the next list is on its way.
  void Meanwhile(std::function<void()> what) {
    const absl::MutexLock lock(&mu_);
    meanwhile_ = std::move(what);
  }

  void Set(const std::string& id, int64_t generation, v1::DesiredState desired,
           v1::ServiceState reported = v1::SERVICE_STATE_PENDING, int64_t reported_generation = 0,
           int64_t create_generation = 1) {
    const absl::MutexLock lock(&mu_);
    v1::DesiredTenant& tenant = tenants_[id];
    tenant.set_id(id);
    tenant.set_generation(generation);
    tenant.set_desired(desired);
    tenant.set_reported_state(reported);
    tenant.set_reported_generation(reported_generation);
    tenant.set_create_generation(create_generation);
  }
  // A tenant that began in this generation.
  void SetNew(const std::string& id, int64_t generation, v1::DesiredState desired = v1::DESIRED_STATE_PRESENT) {
    Set(id, generation, desired, v1::SERVICE_STATE_PENDING, 0, generation);
  }
  void Clear() {
    const absl::MutexLock lock(&mu_);
    tenants_.clear();
  }
  void SetDown(bool down) {
    const absl::MutexLock lock(&mu_);
    down_ = down;
  }

 private:
  absl::Mutex mu_;
  bool down_ ABSL_GUARDED_BY(mu_) = false;
  std::function<void()> meanwhile_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, v1::DesiredTenant> tenants_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leasehold::provisioner
