#include "services/gateway/api/doctor_service.h"

#include <algorithm>
#include <format>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "common/config/config.h"
#include "common/identity/identity.h"
#include "common/status/error.h"
#include "services/gateway/api/unary.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {
namespace {

// A tenant may be on its way for so long, and a pass late by so much, before somebody should know.
constexpr absl::Duration kPatience = absl::Minutes(1);

std::string Tenants(int count) { return count == 1 ? "a tenant" : std::format("{} tenants", count); }

// What the service needs of somebody; `health.message` names a failed tenant.
std::string MessageOf(const v1::ServiceHealth& health, absl::Time now, absl::Duration longest) {
  std::vector<std::string> parts;
  if (!health.trouble().empty()) parts.push_back(std::format("its provisioner says: {}", health.trouble()));
  if (!health.has_last_pass_time()) {
    parts.emplace_back("no provisioner of it has ever looked at its instance");
  } else if (const absl::Duration ago = now - ToTime(health.last_pass_time()); ago > longest) {
    parts.push_back(std::format("no provisioner of it has looked at its instance for {}",
                                absl::FormatDuration(absl::Trunc(ago, absl::Seconds(1)))));
  }
  if (health.failed() > 0) {
    parts.push_back(health.failed() == 1
                        ? std::format("tenant {}", health.message())
                        : std::format("{} failed, e.g. {}", Tenants(health.failed()), health.message()));
  }
  if (health.pending() > 0) {
    parts.push_back(
        std::format("{} waited for longer than {}", Tenants(health.pending()), absl::FormatDuration(kPatience)));
  }
  return absl::StrJoin(parts, "; ");
}

}  // namespace

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
        return Error(v1::REASON_SERVICE_NOT_FOUND, std::format("there is no service {}; there are {}", service,
                                                               absl::StrJoin(store.services(), ", ")));
      }
    }
    if (!request->tenant().empty()) {
      LH_ASSIGN_OR_RETURN(tenant, TenantId::Parse(request->tenant()));
    }
    LH_ASSIGN_OR_RETURN(*response, store.Diagnose(service, tenant ? tenant->str() : "", kPatience));
    // One that is no more may have left something behind.
    if (tenant && response->findings().empty()) LH_RETURN_IF_ERROR(store.Get(*tenant).status());
    const absl::Duration longest = 3 * resync_interval_ + kPatience;
    for (v1::ServiceHealth& health : *response->mutable_services()) {
      health.set_message(MessageOf(health, clock_.Now(), longest));
    }
    return absl::OkStatus();
  });
}

}  // namespace leasehold::gateway
