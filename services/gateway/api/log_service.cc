#include "services/gateway/api/log_service.h"

#include <algorithm>

#include "common/identity/identity.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/gateway/api/unary.h"

namespace leasehold::gateway {
namespace {

void Add(const std::string& service, bool enabled, google::protobuf::RepeatedPtrField<v1::QueryLog>& list) {
  v1::QueryLog& log = *list.Add();
  log.set_service(service);
  log.set_enabled(enabled);
}

}  // namespace

LogService::LogService(QueryLog& queries, const v1::Config& config) : queries_(queries), services_(config) {
  for (const v1::ServiceConfig& service : config.services()) names_.push_back(service.name());
  std::ranges::sort(names_);
}

absl::StatusOr<std::vector<std::string>> LogService::Asked(const std::string& service) const {
  if (service.empty()) return names_;
  LH_ASSIGN_OR_RETURN(const ServiceName name, ServiceName::Parse(service));
  LH_RETURN_IF_ERROR(services_.Check(name));
  return std::vector<std::string>{name.str()};
}

grpc::ServerUnaryReactor* LogService::ListQueryLogs(grpc::CallbackServerContext* context,
                                                    const v1::ListQueryLogsRequest* request,
                                                    v1::ListQueryLogsResponse* response) {
  const absl::StatusOr<std::vector<std::string>> asked = Asked(request->service());
  if (!asked.ok()) return AnswerNow(context, asked.status());
  for (const std::string& name : *asked) Add(name, queries_.Of(name), *response->mutable_query_logs());
  return AnswerNow(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* LogService::SetQueryLog(grpc::CallbackServerContext* context,
                                                  const v1::SetQueryLogRequest* request,
                                                  v1::SetQueryLogResponse* response) {
  const absl::StatusOr<std::vector<std::string>> asked = Asked(request->service());
  if (!asked.ok()) return AnswerNow(context, asked.status());
  for (const std::string& name : *asked) {
    queries_.Set(name, request->enabled());
    Log(Level::kInfo, "query log", {{"service", name}, {"enabled", request->enabled() ? "true" : "false"}});
    Add(name, request->enabled(), *response->mutable_query_logs());
  }
  return AnswerNow(context, absl::OkStatus());
}

}  // namespace leasehold::gateway
