#include "absl/strings/str_cat.h"
#include "common/status/error.h"
#include "services/gateway/directory/directory.h"

namespace leasehold::gateway {

absl::Status TenantView::Usable(const ServiceName& service) const {
  switch (state) {
    case v1::TENANT_STATE_SUSPENDED:
      return Error(v1::REASON_TENANT_SUSPENDED, absl::StrCat("tenant ", id.str(), " is suspended"));
    case v1::TENANT_STATE_DELETED:
    case v1::TENANT_STATE_PURGING:
      return Error(v1::REASON_TENANT_DELETED, absl::StrCat("tenant ", id.str(), " is deleted"));
    default:
      break;
  }
  const auto found = services.find(service.str());
  if (found == services.end()) {
    return Error(v1::REASON_SERVICE_NOT_FOUND, absl::StrCat("there is no service ", service.str()));
  }
  switch (found->second.state) {
    case v1::SERVICE_STATE_READY:
      return absl::OkStatus();
    case v1::SERVICE_STATE_FAILED:
      return Error(v1::REASON_TENANT_NOT_READY,
                   absl::StrCat("tenant ", id.str(), " is not ready in service ", service.str(),
                                ": the last attempt failed, another follows"));
    default:
      return Error(v1::REASON_TENANT_NOT_READY,
                   absl::StrCat("tenant ", id.str(), " is not ready in service ", service.str(), " yet"));
  }
}

}  // namespace leasehold::gateway
