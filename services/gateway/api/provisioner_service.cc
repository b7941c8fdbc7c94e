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

absl::Status List(Store& store, const v1::ListDesiredRequest& request, v1::ListDesiredResponse* response) {
  LH_ASSIGN_OR_RETURN(const ServiceName service, ServiceName::Parse(request.service()));
  if (!std::ranges::binary_search(store.services(), service.str())) {
    return Error(v1::REASON_SERVICE_NOT_FOUND, std::format("there is no service {}; there are {}", service.str(),
                                                           absl::StrJoin(store.services(), ", ")));
  }
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

}  // namespace leasehold::gateway
