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

  absl::Status ReportFindings(const std::string&, const std::vector<v1::Finding>& findings) override {
    const absl::MutexLock lock(&mu_);
    if (down_) return Error(v1::REASON_REGISTRY_UNAVAILABLE, "the gateway does not answer");
    findings_ = findings;
    trouble_.clear();
    return absl::OkStatus();
  }
  absl::Status ReportTrouble(const std::string&, const std::string& trouble) override {
    const absl::MutexLock lock(&mu_);
    if (down_) return Error(v1::REASON_REGISTRY_UNAVAILABLE, "the gateway does not answer");
    trouble_ = trouble;
    return absl::OkStatus();
  }
  // Of the last report.
  std::vector<v1::Finding> findings() {
    const absl::MutexLock lock(&mu_);
    return findings_;
  }

  std::string trouble() {
    const absl::MutexLock lock(&mu_);
    return trouble_;
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
  // What its database is to be filled from; the generation is the tenant's present one. None: it is forgotten.
  void SetOrigin(const std::string& id, const std::string& tenant, const std::string& backup) {
    const absl::MutexLock lock(&mu_);
    v1::DesiredTenant& desired = tenants_[id];
    desired.clear_origin();
    if (tenant.empty() && backup.empty()) return;
    desired.mutable_origin()->set_generation(desired.generation());
    if (tenant.empty()) {
      desired.mutable_origin()->set_backup(backup);
    } else {
      desired.mutable_origin()->set_tenant(tenant);
    }
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
  std::vector<v1::Finding> findings_ ABSL_GUARDED_BY(mu_);
  std::string trouble_ ABSL_GUARDED_BY(mu_);
  std::function<void()> meanwhile_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, v1::DesiredTenant> tenants_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leasehold::provisioner
