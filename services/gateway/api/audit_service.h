// leasehold.v1.AuditService over the trail's table.
#pragma once

#include <grpcpp/grpcpp.h>

#include "common/executor/executor.h"
#include "common/postgres/postgres.h"
#include "leasehold/v1/audit.grpc.pb.h"

namespace leasehold::gateway {

// Nothing blocks: calls run on a thread of its own, one after another, so that a long look through the trail keeps
// nobody else waiting.
class AuditService : public v1::AuditService::CallbackService {
 public:
  explicit AuditService(const postgres::ConnectOptions& registry) : pool_(registry, 1), executor_("audit", 1) {}

  grpc::ServerUnaryReactor* ListAuditEvents(grpc::CallbackServerContext* context,
                                            const v1::ListAuditEventsRequest* request,
                                            v1::ListAuditEventsResponse* response) override;
  grpc::ServerUnaryReactor* VerifyAudit(grpc::CallbackServerContext* context, const v1::VerifyAuditRequest* request,
                                        v1::VerifyAuditResponse* response) override;

 private:
  postgres::ConnectionPool pool_;
  Executor executor_;
};

}  // namespace leasehold::gateway
