#include "services/gateway/api/audit_service.h"

#include <utility>

#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/gateway/api/unary.h"
#include "services/gateway/audit/reading.h"

namespace leasehold::gateway {
namespace {

// What the caller may hear of what PostgreSQL said.
absl::Status Told(const absl::Status& status) {
  if (ClientSafe(status)) return status;
  Log(Level::kWarning, "the audit trail cannot be read", {{"error", StdView(status.message())}});
  if (!postgres::IsConnectionFailure(status)) return status;
  return Error(v1::REASON_REGISTRY_UNAVAILABLE, "the registry's database does not answer");
}

template <typename Request, typename Response>
absl::Status Read(postgres::ConnectionPool& pool,
                  absl::StatusOr<Response> (*read)(postgres::Transaction&, const Request&), const Request& request,
                  Response& response) {
  return Told(pool.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(response, read(tx, request));
    return absl::OkStatus();
  }));
}

}  // namespace

grpc::ServerUnaryReactor* AuditService::ListAuditEvents(grpc::CallbackServerContext* context,
                                                        const v1::ListAuditEventsRequest* request,
                                                        v1::ListAuditEventsResponse* response) {
  return AnswerOn(executor_, context,
                  [this, request, response] { return Read(pool_, &gateway::ListAuditEvents, *request, *response); });
}

grpc::ServerUnaryReactor* AuditService::VerifyAudit(grpc::CallbackServerContext* context,
                                                    const v1::VerifyAuditRequest* request,
                                                    v1::VerifyAuditResponse* response) {
  return AnswerOn(executor_, context,
                  [this, request, response] { return Read(pool_, &gateway::VerifyAudit, *request, *response); });
}

}  // namespace leasehold::gateway
