// leasehold.v1.LogService over the SQL endpoint.
#pragma once

#include <grpcpp/grpcpp.h>

#include <string>
#include <vector>

#include "leasehold/v1/log.grpc.pb.h"
#include "services/gateway/lease/services.h"
#include "services/gateway/session/query_log.h"

namespace leasehold::gateway {

// Nothing blocks. `queries` outlives it.
class LogService : public v1::LogService::CallbackService {
 public:
  LogService(QueryLog& queries, const v1::Config& config);

  grpc::ServerUnaryReactor* ListQueryLogs(grpc::CallbackServerContext* context, const v1::ListQueryLogsRequest* request,
                                          v1::ListQueryLogsResponse* response) override;
  grpc::ServerUnaryReactor* SetQueryLog(grpc::CallbackServerContext* context, const v1::SetQueryLogRequest* request,
                                        v1::SetQueryLogResponse* response) override;

 private:
  absl::StatusOr<std::vector<std::string>> Asked(const std::string& service) const;

  QueryLog& queries_;
  const KnownServices services_;
  std::vector<std::string> names_;  // sorted
};

}  // namespace leasehold::gateway
