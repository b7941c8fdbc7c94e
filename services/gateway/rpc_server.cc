#include "services/gateway/rpc_server.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>

#include <array>
#include <optional>
#include <utility>

#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "leasehold/v1/audit.grpc.pb.h"
#include "leasehold/v1/backup.grpc.pb.h"
#include "leasehold/v1/doctor.grpc.pb.h"
#include "leasehold/v1/instance.grpc.pb.h"
#include "leasehold/v1/lease.grpc.pb.h"
#include "leasehold/v1/log.grpc.pb.h"
#include "leasehold/v1/migration.grpc.pb.h"
#include "leasehold/v1/operation.grpc.pb.h"
#include "leasehold/v1/policy.grpc.pb.h"
#include "leasehold/v1/pool.grpc.pb.h"
#include "leasehold/v1/provisioner.grpc.pb.h"
#include "leasehold/v1/status.grpc.pb.h"
#include "leasehold/v1/tenant.grpc.pb.h"
#include "services/gateway/api/undecodable_request.h"
#include "services/gateway/audit/rpc_audit.h"
#include "services/gateway/caller/rpc_trace.h"

namespace leasehold::gateway {
namespace {

// A tenant with the most and largest settings has 270 KiB; pages of a thousand of them are the largest answers.
constexpr int kMaxRequestBytes = 1024 * 1024;
constexpr int kMaxAnswerBytes = 64 * 1024 * 1024;

// A Hold stream whose caller lost its network says nothing, so we ask: after 10 s, and wait 5 s for an answer.
constexpr int kKeepaliveMs = 10'000;
constexpr int kKeepaliveTimeoutMs = 5'000;
// Callers may ask us as often.
constexpr int kMinPingIntervalMs = 5'000;

// From accept to the end of the TLS handshake and HTTP/2's settings; gRPC's own patience is two minutes.
constexpr int kHandshakeMs = 10'000;

// So many times the calls that a client was told it may have open: it may not have heard yet, and one that has ended
// counts until its memory is given back.
constexpr int kPatience = 2;

// As GET /servingz. No service of the configuration can have a name with a dot.
constexpr char kServing[] = "leasehold.serving";

// The names under which the gateway as a whole is asked for its health.
constexpr std::array<const char*, 14> kAnsweringForAll = {"",
                                                          v1::TenantService::service_full_name(),
                                                          v1::OperationService::service_full_name(),
                                                          v1::BackupService::service_full_name(),
                                                          v1::ProvisionerService::service_full_name(),
                                                          v1::LeaseService::service_full_name(),
                                                          v1::PoolService::service_full_name(),
                                                          v1::InstanceService::service_full_name(),
                                                          v1::StatusService::service_full_name(),
                                                          v1::DoctorService::service_full_name(),
                                                          v1::MigrationService::service_full_name(),
                                                          v1::LogService::service_full_name(),
                                                          v1::PolicyService::service_full_name(),
                                                          v1::AuditService::service_full_name()};

void LogGrpc(gpr_log_func_args* args) { Log(Level::kDebug, "gRPC", {{"text", args->message}, {"file", args->file}}); }

// It speaks of requests that cannot be read, which whoever sent them hears.
void LogProtobuf(google::protobuf::LogLevel level, const char* file, int /*line*/, const std::string& text) {
  Log(level == google::protobuf::LOGLEVEL_FATAL ? Level::kError : Level::kDebug, "protobuf",
      {{"text", text}, {"file", file}});
}

}  // namespace

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(const HostPort& listen,
                                                            const std::shared_ptr<grpc::ServerCredentials>& credentials,
                                                            const DescriptorBudget& descriptors,
                                                            const CallLimits& calls, Gate& gate, AuditRecorder& audit,
                                                            Metrics& metrics, std::span<Gated* const> services) {
  LH_ASSIGN_OR_RETURN(std::unique_ptr<RpcListener> listener, RpcListener::Open(listen));
  gpr_set_log_function(LogGrpc);
  google::protobuf::SetLogHandler(LogProtobuf);
  grpc::EnableDefaultHealthCheckService(true);
  if (gate.policy() == nullptr) grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kMinPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, static_cast<int>(calls.per_connection));
  builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 1);  // by which calls are counted
  auto interceptors = RefuseUndecodableRequests();
  interceptors.push_back(CheckCallsAt(gate));
  interceptors.push_back(RecordCalls(audit));
  interceptors.push_back(TraceCalls());
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  builder.SetContextAllocator(NewGatedContexts());
  builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
  builder.SetMaxSendMessageSize(kMaxAnswerBytes);
  auto connections = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, credentials);
  for (Gated* gated : services) builder.RegisterService(gated->service());
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server) return absl::InternalError("the gRPC server does not start");
  std::unique_ptr<RpcServer> started(
      new RpcServer(credentials, std::move(server), std::move(listener), calls, metrics));
  started->listener_->Start(std::move(connections), descriptors, started->bounds_);
  return started;
}

RpcServer::RpcServer(std::shared_ptr<grpc::ServerCredentials> credentials, std::unique_ptr<grpc::Server> server,
                     std::unique_ptr<RpcListener> listener, const CallLimits& calls, Metrics& metrics)
    : credentials_(std::move(credentials)),
      server_(std::move(server)),
      bounds_({.per_connection = kPatience * calls.per_connection, .total = calls.total}, metrics),
      listener_(std::move(listener)) {}

void RpcServer::Shutdown(absl::Time deadline) {
  listener_->Stop();
  server_->Shutdown(absl::ToChronoTime(deadline));
}

void TellHealth(grpc::Server& server, const Health& health, Serving& serving, std::span<const std::string> services) {
  grpc::HealthCheckServiceInterface& answers = *server.GetHealthCheckService();
  const bool ready = health.Ready();
  for (const char* name : kAnsweringForAll) answers.SetServingStatus(name, ready);
  answers.SetServingStatus(kServing, serving.Now());
  for (const std::string& service : services) {
    if (const std::optional<bool> well = health.Well(InstanceComponent(service))) {
      answers.SetServingStatus(service, *well);
    }
  }
}

}  // namespace leasehold::gateway
