#include "services/gateway/api/provisioner_service.h"

#include <algorithm>
#include <format>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "common/status/error.h"
#include "services/gateway/api/page.h"
#include "services/gateway/api/unary.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {
namespace {

// More would be a defect, or no provisioner.
constexpr int kMaxFindings = 10'000;

absl::StatusOr<ServiceName> CheckService(const Store& store, const std::string& name) {
  LH_ASSIGN_OR_RETURN(ServiceName service, ServiceName::Parse(name));
  if (std::ranges::binary_search(store.services(), service.str())) return service;
  return Error(v1::REASON_SERVICE_NOT_FOUND, std::format("there is no service {}; there are {}", service.str(),
                                                         absl::StrJoin(store.services(), ", ")));
}

absl::Status Report(Store& store, v1::ReportFindingsRequest request) {
  LH_ASSIGN_OR_RETURN(const ServiceName service, CheckService(store, request.service()));
  if (request.findings_size() > kMaxFindings) {
    return InvalidField("findings", std::format("{} long", request.findings_size()),
                        std::format("at most {}", kMaxFindings));
  }
  request.set_service(service.str());
  return store.ReportFindings(request);
}

absl::Status ListWork(Store& store, const v1::ListBackupWorkRequest& request, v1::ListBackupWorkResponse* response) {
  LH_ASSIGN_OR_RETURN(const ServiceName service, CheckService(store, request.service()));
  LH_ASSIGN_OR_RETURN(std::vector<v1::BackupWork> work, store.ListBackupWork(service));
  for (v1::BackupWork& next : work) *response->add_work() = std::move(next);
  return absl::OkStatus();
}

absl::Status List(Store& store, const v1::ListDesiredRequest& request, v1::ListDesiredResponse* response) {
  LH_ASSIGN_OR_RETURN(const ServiceName service, CheckService(store, request.service()));
  const std::string list = "desired/" + service.str();
  LH_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size(), 1000, 5000));
  LH_ASSIGN_OR_RETURN(const std::string after, PositionOf(list, request.page_token()));
  // One more, to know whether this page is the last.
  LH_ASSIGN_OR_RETURN(std::vector<v1::DesiredTenant> tenants, store.ListDesired(service, after, size + 1));
  if (tenants.size() > static_cast<size_t>(size)) {
    tenants.pop_back();
    response->set_next_page_token(PageToken(list, tenants.back().id()));
  }
  for (v1::DesiredTenant& tenant : tenants) *response->add_tenants() = std::move(tenant);
  return absl::OkStatus();
}

}  // namespace

grpc::ServerUnaryReactor* ProvisionerService::ListDesired(grpc::CallbackServerContext* context,
                                                          const v1::ListDesiredRequest* request,
                                                          v1::ListDesiredResponse* response) {
  return AnswerOn(registry_.executor(), context,
                  [this, request, response] { return List(registry_.store(), *request, response); });
}

grpc::ServerUnaryReactor* ProvisionerService::ListBackupWork(grpc::CallbackServerContext* context,
                                                             const v1::ListBackupWorkRequest* request,
                                                             v1::ListBackupWorkResponse* response) {
  return AnswerOn(registry_.executor(), context,
                  [this, request, response] { return ListWork(registry_.store(), *request, response); });
}

grpc::ServerUnaryReactor* ProvisionerService::ReportFindings(grpc::CallbackServerContext* context,
                                                             const v1::ReportFindingsRequest* request,
                                                             v1::ReportFindingsResponse*) {
  return AnswerOn(registry_.executor(), context, [this, request] { return Report(registry_.store(), *request); });
}

}  // namespace leasehold::gateway
