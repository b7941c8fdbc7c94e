#include "services/gateway/api/doctor_service.h"

#include <algorithm>
#include <format>
#include <optional>
#include <string>

#include "absl/strings/str_join.h"
#include "common/identity/identity.h"
#include "common/status/error.h"
#include "services/gateway/api/diagnosis.h"
#include "services/gateway/api/unary.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {

grpc::ServerUnaryReactor* DoctorService::Diagnose(grpc::CallbackServerContext* context,
                                                  const v1::DiagnoseRequest* request, v1::DiagnoseResponse* response) {
  return AnswerOn(registry_.executor(), context, [this, request, response]() -> absl::Status {
    Store& store = registry_.store();
    std::string service;
    std::optional<TenantId> tenant;
    if (!request->service().empty()) {
      LH_ASSIGN_OR_RETURN(const ServiceName name, ServiceName::Parse(request->service()));
      service = name.str();
      if (!std::ranges::binary_search(store.services(), service)) {
        return Error(v1::REASON_SERVICE_NOT_FOUND, std::format("there is no service {}; configured: {}", service,
                                                               absl::StrJoin(store.services(), ", ")));
      }
    }
    if (!request->tenant().empty()) {
      LH_ASSIGN_OR_RETURN(tenant, TenantId::Parse(request->tenant()));
    }
    LH_ASSIGN_OR_RETURN(*response, store.Diagnose(service, tenant ? tenant->str() : "", kDiagnosisPatience));
    // One that is no more may have left something behind.
    if (tenant && response->findings().empty()) LH_RETURN_IF_ERROR(store.Get(*tenant).status());
    Judge(*response, clock_.Now(), resync_interval_);
    return absl::OkStatus();
  });
}

}  // namespace leasehold::gateway
