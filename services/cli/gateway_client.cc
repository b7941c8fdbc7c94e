#include "services/cli/gateway_client.h"

#include "absl/strings/str_cat.h"
#include "common/status/grpc.h"

namespace leasehold::cli {

GatewayClient::GatewayClient(std::string address) : address_(std::move(address)) {
  grpc::ChannelArguments arguments;
  // The gateway is a neighbour: a proxy named in the environment is meant for other traffic.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(64 * 1024 * 1024);
  auto channel = grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments);
  tenants_ = v1::TenantService::NewStub(channel);
  leases_ = v1::LeaseService::NewStub(channel);
  operations_ = v1::OperationService::NewStub(channel);
}

std::chrono::system_clock::time_point GatewayClient::Deadline(absl::Duration patience) {
  return absl::ToChronoTime(absl::Now() + patience);
}

bool GatewayClient::DoesNotAnswer(const grpc::Status& status) {
  // What the gateway itself reports as UNAVAILABLE carries a detail.
  return status.error_code() == grpc::StatusCode::UNAVAILABLE && status.error_details().empty();
}

absl::Status GatewayClient::ToStatus(const grpc::Status& status) const {
  if (status.ok()) return absl::OkStatus();
  if (DoesNotAnswer(status)) {
    return absl::UnavailableError(
        absl::StrCat("the gateway at ", address_, " does not answer (is it running? see --gateway)"));
  }
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED && status.error_details().empty()) {
    return absl::DeadlineExceededError(absl::StrCat("the gateway at ", address_, " did not answer in time"));
  }
  return FromGrpc(status, address_);
}

}  // namespace leasehold::cli
