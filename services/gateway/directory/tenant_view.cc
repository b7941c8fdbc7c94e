#include <format>

#include "common/status/error.h"
#include "services/gateway/directory/directory.h"

namespace leasehold::gateway {

absl::Status TenantView::Usable(const ServiceName& service) const {
  switch (state) {
    case v1::TENANT_STATE_SUSPENDED:
      return Error(v1::REASON_TENANT_SUSPENDED, std::format("tenant {} is suspended", id.str()));
    case v1::TENANT_STATE_DELETED:
    case v1::TENANT_STATE_PURGING:
      return Error(v1::REASON_TENANT_DELETED, std::format("tenant {} is deleted", id.str()));
    default:
      break;
  }
  const auto found = services.find(service.str());
  if (found == services.end()) {
    return Error(v1::REASON_SERVICE_NOT_FOUND, std::format("there is no service {}", service.str()));
  }
  switch (found->second.state) {
    case v1::SERVICE_STATE_READY:
      return absl::OkStatus();
    case v1::SERVICE_STATE_FAILED:
      return Error(v1::REASON_TENANT_NOT_READY,
                   std::format("tenant {} is not ready in service {}: the last attempt failed, another follows",
                               id.str(), service.str()));
    default:
      return Error(v1::REASON_TENANT_NOT_READY,
                   std::format("tenant {} is not ready in service {} yet", id.str(), service.str()));
  }
}

}  // namespace leasehold::gateway
