#include "services/gateway/api/tenant_service.h"

#include <utility>
#include <vector>

#include "common/status/error.h"
#include "services/gateway/api/page.h"
#include "services/gateway/api/tenant_request.h"
#include "services/gateway/api/tenant_watch.h"
#include "services/gateway/api/unary.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {
namespace {

constexpr std::string_view kList = "tenants";

template <typename T>
absl::Status Into(absl::StatusOr<T> result, T* response) {
  if (!result.ok()) return result.status();
  *response = *std::move(result);
  return absl::OkStatus();
}

absl::Status Create(Store& store, const v1::CreateTenantRequest& request, v1::TenantChange* response) {
  LH_ASSIGN_OR_RETURN(const NewTenant tenant, CheckNew(request.tenant()));
  LH_ASSIGN_OR_RETURN(const RequestKey key, CheckRequestId("CreateTenant", request));
  return Into(store.Create(tenant, key), response);
}

absl::Status Get(Store& store, const v1::GetTenantRequest& request, v1::Tenant* response) {
  switch (request.key_case()) {
    case v1::GetTenantRequest::kId: {
      LH_ASSIGN_OR_RETURN(const TenantId id, CheckId(request.id()));
      return Into(store.Get(id), response);
    }
    case v1::GetTenantRequest::kDomain: {
      LH_ASSIGN_OR_RETURN(const std::string domain, ParseDomain(request.domain()));
      return Into(store.GetByDomain(domain), response);
    }
    default:
      return InvalidField("key", "", "an id or a domain");
  }
}

absl::Status List(Store& store, const v1::ListTenantsRequest& request, v1::ListTenantsResponse* response) {
  LH_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size(), 100, 1000));
  LH_ASSIGN_OR_RETURN(const std::string after, PositionOf(kList, request.page_token()));
  std::vector<v1::TenantState> states;
  for (const int state : request.states()) {
    if (state == v1::TENANT_STATE_UNSPECIFIED || !v1::TenantState_IsValid(state)) {
      return InvalidField("states", std::to_string(state), "states of a tenant");
    }
    states.push_back(static_cast<v1::TenantState>(state));
  }
  // One more, to know whether this page is the last.
  LH_ASSIGN_OR_RETURN(std::vector<v1::Tenant> tenants, store.List(after, size + 1, states));
  if (tenants.size() > static_cast<size_t>(size)) {
    tenants.pop_back();
    response->set_next_page_token(PageToken(kList, tenants.back().id()));
  }
  for (v1::Tenant& tenant : tenants) *response->add_tenants() = std::move(tenant);
  return absl::OkStatus();
}

absl::Status Update(Store& store, const v1::UpdateTenantRequest& request, v1::TenantChange* response) {
  LH_ASSIGN_OR_RETURN(const TenantId id, CheckId(request.id()));
  LH_ASSIGN_OR_RETURN(const TenantEdit edit, CheckUpdate(request));
  LH_ASSIGN_OR_RETURN(const RequestKey key, CheckRequestId("UpdateTenant", request));
  return Into(store.Update(id, edit, key), response);
}

absl::Status Suspend(Store& store, const v1::SuspendTenantRequest& request, v1::TenantChange* response) {
  LH_ASSIGN_OR_RETURN(const TenantId id, CheckId(request.id()));
  LH_ASSIGN_OR_RETURN(const RequestKey key, CheckRequestId("SuspendTenant", request));
  return Into(store.Suspend(id, key), response);
}

absl::Status Resume(Store& store, const v1::ResumeTenantRequest& request, v1::TenantChange* response) {
  LH_ASSIGN_OR_RETURN(const TenantId id, CheckId(request.id()));
  LH_ASSIGN_OR_RETURN(const RequestKey key, CheckRequestId("ResumeTenant", request));
  return Into(store.Resume(id, key), response);
}

absl::Status Delete(Store& store, const v1::DeleteTenantRequest& request, v1::TenantChange* response) {
  LH_ASSIGN_OR_RETURN(const TenantId id, CheckId(request.id()));
  LH_ASSIGN_OR_RETURN(const std::optional<absl::Duration> retention, CheckRetention(request));
  LH_ASSIGN_OR_RETURN(const RequestKey key, CheckRequestId("DeleteTenant", request));
  return Into(store.Delete(id, retention, key), response);
}

absl::Status Undelete(Store& store, const v1::UndeleteTenantRequest& request, v1::TenantChange* response) {
  LH_ASSIGN_OR_RETURN(const TenantId id, CheckId(request.id()));
  LH_ASSIGN_OR_RETURN(const RequestKey key, CheckRequestId("UndeleteTenant", request));
  return Into(store.Undelete(id, key), response);
}

absl::Status Retry(Store& store, const v1::RetryTenantRequest& request, v1::TenantChange* response) {
  LH_ASSIGN_OR_RETURN(const TenantId id, CheckId(request.id()));
  LH_ASSIGN_OR_RETURN(const RequestKey key, CheckRequestId("RetryTenant", request));
  return Into(store.Retry(id, key), response);
}

absl::Status Clone(Store& store, const v1::CloneTenantRequest& request, v1::TenantChange* response) {
  const absl::StatusOr<TenantId> source = TenantId::Parse(request.source());
  if (!source.ok()) return WithField(source.status(), "source");
  LH_ASSIGN_OR_RETURN(const NewTenant tenant, CheckNew(request.tenant()));
  LH_ASSIGN_OR_RETURN(const RequestKey key, CheckRequestId("CloneTenant", request));
  return Into(store.Clone(*source, tenant, key), response);
}

}  // namespace

grpc::ServerUnaryReactor* TenantService::CreateTenant(grpc::CallbackServerContext* context,
                                                      const v1::CreateTenantRequest* request,
                                                      v1::TenantChange* response) {
  return AnswerOn(registry_.executor(), context,
                  [this, request, response] { return Create(registry_.store(), *request, response); });
}

grpc::ServerUnaryReactor* TenantService::GetTenant(grpc::CallbackServerContext* context,
                                                   const v1::GetTenantRequest* request, v1::Tenant* response) {
  return AnswerOn(registry_.executor(), context,
                  [this, request, response] { return Get(registry_.store(), *request, response); });
}

grpc::ServerUnaryReactor* TenantService::ListTenants(grpc::CallbackServerContext* context,
                                                     const v1::ListTenantsRequest* request,
                                                     v1::ListTenantsResponse* response) {
  return AnswerOn(registry_.executor(), context,
                  [this, request, response] { return List(registry_.store(), *request, response); });
}

grpc::ServerUnaryReactor* TenantService::UpdateTenant(grpc::CallbackServerContext* context,
                                                      const v1::UpdateTenantRequest* request,
                                                      v1::TenantChange* response) {
  return AnswerOn(registry_.executor(), context,
                  [this, request, response] { return Update(registry_.store(), *request, response); });
}

grpc::ServerUnaryReactor* TenantService::SuspendTenant(grpc::CallbackServerContext* context,
                                                       const v1::SuspendTenantRequest* request,
                                                       v1::TenantChange* response) {
  return AnswerOn(registry_.executor(), context,
                  [this, request, response] { return Suspend(registry_.store(), *request, response); });
}

grpc::ServerUnaryReactor* TenantService::ResumeTenant(grpc::CallbackServerContext* context,
                                                      const v1::ResumeTenantRequest* request,
                                                      v1::TenantChange* response) {
  return AnswerOn(registry_.executor(), context,
                  [this, request, response] { return Resume(registry_.store(), *request, response); });
}

grpc::ServerUnaryReactor* TenantService::DeleteTenant(grpc::CallbackServerContext* context,
                                                      const v1::DeleteTenantRequest* request,
                                                      v1::TenantChange* response) {
  return AnswerOn(registry_.executor(), context,
                  [this, request, response] { return Delete(registry_.store(), *request, response); });
}

grpc::ServerUnaryReactor* TenantService::UndeleteTenant(grpc::CallbackServerContext* context,
                                                        const v1::UndeleteTenantRequest* request,
                                                        v1::TenantChange* response) {
  return AnswerOn(registry_.executor(), context,
                  [this, request, response] { return Undelete(registry_.store(), *request, response); });
}

grpc::ServerUnaryReactor* TenantService::RetryTenant(grpc::CallbackServerContext* context,
                                                     const v1::RetryTenantRequest* request,
                                                     v1::TenantChange* response) {
  return AnswerOn(registry_.executor(), context,
                  [this, request, response] { return Retry(registry_.store(), *request, response); });
}

grpc::ServerUnaryReactor* TenantService::CloneTenant(grpc::CallbackServerContext* context,
                                                     const v1::CloneTenantRequest* request,
                                                     v1::TenantChange* response) {
  return AnswerOn(registry_.executor(), context,
                  [this, request, response] { return Clone(registry_.store(), *request, response); });
}

grpc::ServerWriteReactor<v1::WatchTenantsResponse>* TenantService::WatchTenants(
    grpc::CallbackServerContext* /*context*/, const v1::WatchTenantsRequest* request) {
  return TenantWatch::Start(registry_, *request);
}

}  // namespace leasehold::gateway
