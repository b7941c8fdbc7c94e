#include "services/gateway/api/log_service.h"

#include <algorithm>
#include <utility>

#include "common/identity/identity.h"
#include "common/status/error.h"
#include "common/telemetry/level.h"
#include "common/telemetry/log.h"
#include "services/gateway/api/unary.h"

namespace leasehold::gateway {
namespace {

void Add(const std::string& service, bool enabled, google::protobuf::RepeatedPtrField<v1::QueryLog>& list) {
  v1::QueryLog& log = *list.Add();
  log.set_service(service);
  log.set_enabled(enabled);
}

void AddOwn(google::protobuf::RepeatedPtrField<v1::DaemonLog>& logs) {
  v1::DaemonLog& log = *logs.Add();
  log.set_component("gateway");
  log.set_level(ToProto(CurrentLogLevel()));
}

// One that hangs does not make the others wait.
constexpr absl::Duration kPatience = absl::Seconds(2);

}  // namespace

LogService::LogService(QueryLog& queries, InstanceAsker& provisioners, const v1::Config& config)
    : queries_(queries), provisioners_(provisioners), services_(config) {
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

void LogService::AskProvisioners(grpc::ServerUnaryReactor* reactor, std::vector<std::string> services,
                                 v1::LogLevel level, DaemonLogs& logs) {
  const int first = logs.size();
  for (const std::string& service : services) logs.Add()->set_component("provisioner/" + service);
  v1::InstanceCall call;
  call.mutable_log_level()->set_level(level);
  const bool asked = provisioners_.AskAll(
      std::move(services), std::move(call), kPatience,
      [reactor, first, &logs](const InstanceAsker::Answers& answers) {
        for (size_t i = 0; i < answers.size(); ++i) {
          v1::DaemonLog& log = *logs.Mutable(first + static_cast<int>(i));
          if (answers[i].ok()) {
            log.set_level(answers[i]->log_level());
          } else {
            log.set_trouble(std::string(ClientText(answers[i].status())));
          }
        }
        reactor->Finish(grpc::Status::OK);
      },
      level == v1::LOG_LEVEL_UNSPECIFIED ? InstanceAsker::Whose::kOne : InstanceAsker::Whose::kAll);
  if (!asked) RefuseForNow(reactor);
}

grpc::ServerUnaryReactor* LogService::ListLogLevels(grpc::CallbackServerContext* context,
                                                    const v1::ListLogLevelsRequest* request,
                                                    v1::ListLogLevelsResponse* response) {
  absl::StatusOr<std::vector<std::string>> asked = Asked(request->service());
  if (!asked.ok()) return AnswerNow(context, asked.status());
  if (request->service().empty()) AddOwn(*response->mutable_logs());
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  AskProvisioners(reactor, *std::move(asked), v1::LOG_LEVEL_UNSPECIFIED, *response->mutable_logs());
  return reactor;
}

grpc::ServerUnaryReactor* LogService::SetLogLevel(grpc::CallbackServerContext* context,
                                                  const v1::SetLogLevelRequest* request,
                                                  v1::SetLogLevelResponse* response) {
  const absl::StatusOr<Level> level = LevelOf(request->level());
  if (!level.ok()) return AnswerNow(context, level.status());
  absl::StatusOr<std::vector<std::string>> asked = Asked(request->service());
  if (!asked.ok()) return AnswerNow(context, asked.status());
  if (request->gateway_only() && !request->service().empty()) {
    return AnswerNow(context, InvalidField("service", request->service(), "none beside gateway_only"));
  }
  if (request->service().empty()) {
    ChangeLogLevel(*level);
    AddOwn(*response->mutable_logs());
  }
  if (request->gateway_only()) return AnswerNow(context, absl::OkStatus());
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  AskProvisioners(reactor, *std::move(asked), request->level(), *response->mutable_logs());
  return reactor;
}

}  // namespace leasehold::gateway
