#include "services/gateway/api/operation_service.h"

#include <charconv>
#include <format>
#include <optional>
#include <utility>
#include <vector>

#include "common/config/config.h"
#include "common/status/error.h"
#include "services/gateway/api/operation_watch.h"
#include "services/gateway/api/page.h"
#include "services/gateway/api/unary.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {
namespace {

constexpr std::string_view kList = "operations";

// Where a page of operations begins: behind "<micros> <tenant>.<generation>".
std::string PositionBehind(const v1::Operation& operation) {
  return std::format("{} {}", absl::ToUnixMicros(ToTime(operation.create_time())), operation.id());
}

absl::StatusOr<v1::Operation> OperationBefore(std::string_view position) {
  int64_t micros = 0;
  const auto [end, error] = std::from_chars(position.data(), position.data() + position.size(), micros);
  const auto at = static_cast<size_t>(end - position.data());
  if (error != std::errc() || at >= position.size() || position[at] != ' ') return BadPageToken();
  const absl::StatusOr<OperationId> id = OperationId::Parse(position.substr(at + 1));
  if (!id.ok()) return BadPageToken();
  v1::Operation operation;
  *operation.mutable_create_time() = FromTime(absl::FromUnixMicros(micros));
  operation.set_tenant(id->tenant.str());
  operation.set_generation(id->generation);
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
    response->set_next_page_token(PageToken(kList, PositionBehind(operations.back())));
  }
  for (v1::Operation& operation : operations) *response->add_operations() = std::move(operation);
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

grpc::ServerWriteReactor<v1::Operation>* OperationService::WatchOperation(grpc::CallbackServerContext* /*context*/,
                                                                          const v1::GetOperationRequest* request) {
  return OperationWatch::Start(registry_, *request);
}

}  // namespace leasehold::gateway
