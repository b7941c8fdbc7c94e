#include "services/gateway/api/operation_service.h"

#include <optional>
#include <utility>
#include <vector>

#include "common/config/config.h"
#include "common/status/error.h"
#include "services/gateway/api/operation_watch.h"
#include "services/gateway/api/page.h"
#include "services/gateway/api/tenant_request.h"
#include "services/gateway/api/timed_position.h"
#include "services/gateway/api/unary.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {
namespace {

constexpr std::string_view kList = "operations";

absl::StatusOr<v1::Operation> OperationBefore(std::string_view position) {
  LH_ASSIGN_OR_RETURN(const TimedPosition before, TimedPosition::Parse(position));
  v1::Operation operation;
  *operation.mutable_create_time() = FromTime(before.time);
  operation.set_tenant(before.id.tenant.str());
  operation.set_generation(before.id.generation);
  return operation;
}

absl::Status Get(Store& store, const v1::GetOperationRequest& request, v1::Operation* response) {
  LH_ASSIGN_OR_RETURN(const OperationId id, OperationId::Parse(request.id()));
  LH_ASSIGN_OR_RETURN(*response, store.GetOperation(id.tenant, id.generation));
  return absl::OkStatus();
}

absl::Status List(Store& store, const v1::ListOperationsRequest& request, v1::ListOperationsResponse* response) {
  LH_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size(), 100, 1000));
  if (!request.tenant().empty()) LH_RETURN_IF_ERROR(TenantId::Parse(request.tenant()).status());
  std::optional<v1::Operation> after;
  if (!request.page_token().empty()) {
    LH_ASSIGN_OR_RETURN(const std::string position, PositionOf(kList, request.page_token()));
    LH_ASSIGN_OR_RETURN(after, OperationBefore(position));
  }
  // One more, to know whether this page is the last.
  LH_ASSIGN_OR_RETURN(std::vector<v1::Operation> operations, store.ListOperations(request.tenant(), size + 1, after));
  if (operations.size() > static_cast<size_t>(size)) {
    operations.pop_back();
    response->set_next_page_token(PageToken(kList, TimedPosition::Text(operations.back())));
  }
  for (v1::Operation& operation : operations) *response->add_operations() = std::move(operation);
  return absl::OkStatus();
}

absl::Status Cancel(Store& store, const v1::CancelOperationRequest& request, v1::Operation* response) {
  LH_ASSIGN_OR_RETURN(const OperationId id, OperationId::Parse(request.id()));
  LH_ASSIGN_OR_RETURN(const RequestKey key, CheckRequestId("CancelOperation", request));
  LH_ASSIGN_OR_RETURN(*response, store.CancelOperation(id, key));
  return absl::OkStatus();
}

}  // namespace

grpc::ServerUnaryReactor* OperationService::GetOperation(grpc::CallbackServerContext* context,
                                                         const v1::GetOperationRequest* request,
                                                         v1::Operation* response) {
  return AnswerOn(registry_.executor(), context,
                  [this, request, response] { return Get(registry_.store(), *request, response); });
}

grpc::ServerUnaryReactor* OperationService::ListOperations(grpc::CallbackServerContext* context,
                                                           const v1::ListOperationsRequest* request,
                                                           v1::ListOperationsResponse* response) {
  return AnswerOn(registry_.executor(), context,
                  [this, request, response] { return List(registry_.store(), *request, response); });
}

grpc::ServerUnaryReactor* OperationService::CancelOperation(grpc::CallbackServerContext* context,
                                                            const v1::CancelOperationRequest* request,
                                                            v1::Operation* response) {
  return AnswerOn(registry_.executor(), context,
                  [this, request, response] { return Cancel(registry_.store(), *request, response); });
}

grpc::ServerWriteReactor<v1::Operation>* OperationService::WatchOperation(grpc::CallbackServerContext* /*context*/,
                                                                          const v1::GetOperationRequest* request) {
  return OperationWatch::Start(registry_, *request);
}

}  // namespace leasehold::gateway
