// The configured services as leases see them.
#pragma once

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "common/config/config.h"
#include "common/identity/identity.h"
#include "leasehold/v1/config.pb.h"

namespace leasehold::gateway {

// Immutable; any thread.
class KnownServices {
 public:
  explicit KnownServices(const v1::Config& config) : config_(config) {
    for (const v1::ServiceConfig& service : config.services()) {
      central_databases_[service.name()] = service.instance().database();
    }
  }

  // SERVICE_NOT_FOUND lists the known ones.
  absl::Status Check(const ServiceName& name) const {
    if (central_databases_.contains(name.str())) return absl::OkStatus();
    return FindService(config_, name).status();
  }

  // In the configuration's order.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const v1::ServiceConfig& service : config_.services()) names.push_back(service.name());
    return names;
  }

  // Of a service that passes Check.
  const std::string& CentralDatabase(const ServiceName& name) const { return central_databases_.at(name.str()); }

 private:
  const v1::Config config_;
  absl::flat_hash_map<std::string, std::string> central_databases_;
};

}  // namespace leasehold::gateway
