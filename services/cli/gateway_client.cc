#include "services/cli/gateway_client.h"

#include <netdb.h>
#include <sys/socket.h>

#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "common/status/grpc.h"
#include "services/cli/relative_time.h"

namespace leasehold::cli {
namespace {

// What the gateway itself reports carries a detail.
bool IsGrpcsOwn(const grpc::Status& status, grpc::StatusCode code) {
  return status.error_code() == code && status.error_details().empty();
}

bool IsKnownHost(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (failed == 0) freeaddrinfo(found);
  return failed == 0;
}

}  // namespace

GatewayClient::GatewayClient(std::string address, absl::Duration connect_patience) : address_(std::move(address)) {
  grpc::ChannelArguments arguments;
  // The gateway is a neighbour: a proxy named in the environment is meant for other traffic.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(64 * 1024 * 1024);
  // It bounds each attempt to connect, too.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, static_cast<int>(absl::ToInt64Milliseconds(connect_patience)));
  auto channel = grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments);
  tenants_ = v1::TenantService::NewStub(channel);
  leases_ = v1::LeaseService::NewStub(channel);
  operations_ = v1::OperationService::NewStub(channel);
  pools_ = v1::PoolService::NewStub(channel);
}

std::chrono::system_clock::time_point GatewayClient::Deadline(absl::Duration patience) {
  return absl::ToChronoTime(absl::Now() + patience);
}

absl::Status GatewayClient::ToStatus(const grpc::Status& status, absl::Duration waited) const {
  if (status.ok()) return absl::OkStatus();
  if (IsGrpcsOwn(status, grpc::StatusCode::UNAVAILABLE)) {
    const auto parsed = ParseHostPort("", address_);
    if (parsed.ok() && !IsKnownHost(parsed->host)) {
      return absl::UnavailableError(absl::StrCat(
          "the gateway's host ", parsed->host, " is not known here; give another with --gateway or LEASEHOLD_GATEWAY"));
    }
    return absl::UnavailableError(
        absl::StrCat("the gateway at ", address_, " does not answer (waited ", ShortDuration(waited),
                     "); is it running there? give another with --gateway or LEASEHOLD_GATEWAY"));
  }
  if (IsGrpcsOwn(status, grpc::StatusCode::DEADLINE_EXCEEDED)) {
    return absl::DeadlineExceededError(absl::StrCat("the gateway at ", address_, " did not answer within ",
                                                    ShortDuration(waited), "; what was asked may still happen"));
  }
  return FromGrpc(status, address_);
}

absl::Status GatewayClient::StreamEnd(const grpc::Status& status) const {
  if (IsGrpcsOwn(status, grpc::StatusCode::UNAVAILABLE)) {
    return absl::UnavailableError(absl::StrCat("the gateway at ", address_, " went away"));
  }
  return status.ok() ? absl::OkStatus() : FromGrpc(status, address_);
}

}  // namespace leasehold::cli
