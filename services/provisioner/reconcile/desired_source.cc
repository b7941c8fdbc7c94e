#include "services/provisioner/reconcile/desired_source.h"

#include <chrono>
#include <iterator>
#include <utility>

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "common/status/error.h"
#include "common/status/grpc.h"

namespace leasehold::provisioner {
namespace {

constexpr int kPageSize = 1000;
constexpr std::chrono::seconds kDeadline(10);
constexpr std::chrono::seconds kConnectPatience(1);

std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address) {
  grpc::ChannelArguments arguments;
  // gRPC's own default backs off up to two minutes; a provisioner asks every second.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 500);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

// Health and log show what has a reason; that nobody answered is no secret.
absl::Status WithReason(const absl::Status& status) {
  if (ClientSafe(status)) return status;
  if (absl::IsUnavailable(status)) return Error(v1::REASON_REGISTRY_UNAVAILABLE, "the gateway does not answer");
  if (absl::IsDeadlineExceeded(status)) {
    return Error(v1::REASON_REGISTRY_UNAVAILABLE, "the gateway did not answer in time");
  }
  return status;
}

}  // namespace

GatewayDesired::GatewayDesired(const std::string& address, ServiceName service)
    : address_(address),
      service_(std::move(service)),
      channel_(ChannelTo(address)),
      stub_(v1::ProvisionerService::NewStub(channel_)) {}

absl::StatusOr<std::vector<v1::DesiredTenant>> GatewayDesired::ListDesired() {
  // A call to a gateway that was away fails at once, and between calls gRPC looks after its connections only every 5 s:
  // without this wait it would find the gateway two such rounds after it is back.
  if (!channel_->WaitForConnected(std::chrono::system_clock::now() + kConnectPatience)) {
    return WithReason(absl::UnavailableError(""));
  }
  std::vector<v1::DesiredTenant> tenants;
  v1::ListDesiredRequest request;
  request.set_service(service_.str());
  request.set_page_size(kPageSize);
  do {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kDeadline);
    v1::ListDesiredResponse page;
    LH_RETURN_IF_ERROR(WithReason(FromGrpc(stub_->ListDesired(&context, request, &page), address_)));
    std::move(page.mutable_tenants()->begin(), page.mutable_tenants()->end(), std::back_inserter(tenants));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return tenants;
}

}  // namespace leasehold::provisioner
