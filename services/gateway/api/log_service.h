// leasehold.v1.LogService over the SQL endpoint, this process's log and those of provisioners.
#pragma once

#include <grpcpp/grpcpp.h>

#include <string>
#include <vector>

#include "leasehold/v1/log.grpc.pb.h"
#include "services/gateway/api/instance_asker.h"
#include "services/gateway/lease/services.h"
#include "services/gateway/session/query_log.h"

namespace leasehold::gateway {

// Nothing blocks. `queries` and `provisioners` outlive it.
class LogService : public v1::LogService::CallbackService {
 public:
  LogService(QueryLog& queries, InstanceAsker& provisioners, const v1::Config& config);

  grpc::ServerUnaryReactor* ListQueryLogs(grpc::CallbackServerContext* context, const v1::ListQueryLogsRequest* request,
                                          v1::ListQueryLogsResponse* response) override;
  grpc::ServerUnaryReactor* SetQueryLog(grpc::CallbackServerContext* context, const v1::SetQueryLogRequest* request,
                                        v1::SetQueryLogResponse* response) override;
  grpc::ServerUnaryReactor* ListLogLevels(grpc::CallbackServerContext* context, const v1::ListLogLevelsRequest* request,
                                          v1::ListLogLevelsResponse* response) override;
  grpc::ServerUnaryReactor* SetLogLevel(grpc::CallbackServerContext* context, const v1::SetLogLevelRequest* request,
                                        v1::SetLogLevelResponse* response) override;

 private:
  using DaemonLogs = google::protobuf::RepeatedPtrField<v1::DaemonLog>;
  // Adds what the provisioners of `services` say to `logs`, and answers.
  void AskProvisioners(grpc::ServerUnaryReactor* reactor, std::vector<std::string> services, v1::LogLevel level,
                       DaemonLogs& logs);
  absl::StatusOr<std::vector<std::string>> Asked(const std::string& service) const;

  QueryLog& queries_;
  InstanceAsker& provisioners_;
  const KnownServices services_;
  std::vector<std::string> names_;  // sorted
};

}  // namespace leasehold::gateway
