#include "services/provisioner/reconcile/desired_source.h"

#include <chrono>
#include <iterator>
#include <utility>

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "common/bearer/bearer.h"
#include "common/rpc/channel_credentials.h"
#include "common/status/error.h"
#include "common/status/grpc.h"

namespace leasehold::provisioner {
namespace {

// The gateway holds a page of each provisioner at a time, so a larger one would cost it memory as the fleet grows.
constexpr int kPageSize = 200;
constexpr std::chrono::seconds kDeadline(10);
constexpr std::chrono::seconds kConnectPatience(1);

std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address, const tls::LiveCredentials* live,
                                         const std::string& token_file) {
  grpc::ChannelArguments arguments;
  // gRPC's own default backs off up to two minutes; a provisioner asks every second.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 500);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  const std::shared_ptr<const tls::Credentials> credentials = live == nullptr ? nullptr : live->Get();
  return grpc::experimental::CreateCustomChannelWithInterceptors(address, rpc::ChannelCredentials(credentials.get()),
                                                                 arguments, ShowToken(token_file));
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

GatewayDesired::GatewayDesired(const std::string& address, ServiceName service,
                               std::shared_ptr<const tls::LiveCredentials> credentials, std::string token_file)
    : address_(address),
      service_(std::move(service)),
      credentials_(std::move(credentials)),
      token_file_(std::move(token_file)) {}

std::shared_ptr<grpc::Channel> GatewayDesired::Channel() {
  const uint64_t version = credentials_ == nullptr ? 0 : credentials_->version();
  absl::MutexLock lock(&mu_);
  if (channel_ == nullptr || version != version_) channel_ = ChannelTo(address_, credentials_.get(), token_file_);
  version_ = version;
  return channel_;
}

absl::StatusOr<std::unique_ptr<GatewayDesired::Stub>> GatewayDesired::AwaitStub() {
  const std::shared_ptr<grpc::Channel> channel = Channel();
  // A call to a gateway that was away fails at once, and between calls gRPC looks after its connections only every 5 s:
  // without this wait it would find the gateway two such rounds after it is back.
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + kConnectPatience)) {
    return WithReason(absl::UnavailableError(""));
  }
  return v1::ProvisionerService::NewStub(channel);
}

absl::StatusOr<std::vector<v1::BackupWork>> GatewayDesired::ListBackupWork() {
  LH_ASSIGN_OR_RETURN(const auto stub, AwaitStub());
  v1::ListBackupWorkRequest request;
  request.set_service(service_.str());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kDeadline);
  v1::ListBackupWorkResponse response;
  LH_RETURN_IF_ERROR(WithReason(FromGrpc(stub->ListBackupWork(&context, request, &response), address_)));
  return std::vector<v1::BackupWork>(std::move_iterator(response.mutable_work()->begin()),
                                     std::move_iterator(response.mutable_work()->end()));
}

absl::StatusOr<std::vector<v1::DesiredTenant>> GatewayDesired::ListDesired() {
  LH_ASSIGN_OR_RETURN(const auto stub, AwaitStub());
  std::vector<v1::DesiredTenant> tenants;
  v1::ListDesiredRequest request;
  request.set_service(service_.str());
  request.set_page_size(kPageSize);
  do {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kDeadline);
    v1::ListDesiredResponse page;
    LH_RETURN_IF_ERROR(WithReason(FromGrpc(stub->ListDesired(&context, request, &page), address_)));
    std::move(page.mutable_tenants()->begin(), page.mutable_tenants()->end(), std::back_inserter(tenants));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return tenants;
}

absl::Status GatewayDesired::ReportFindings(const std::string& provisioner, const std::vector<v1::Finding>& findings) {
  v1::ReportFindingsRequest request;
  request.set_service(service_.str());
  request.set_provisioner(provisioner);
  request.mutable_findings()->Assign(findings.begin(), findings.end());
  return Report(request);
}

absl::Status GatewayDesired::ReportTrouble(const std::string& provisioner, const std::string& trouble) {
  v1::ReportFindingsRequest request;
  request.set_service(service_.str());
  request.set_provisioner(provisioner);
  request.set_trouble(trouble);
  return Report(request);
}

absl::Status GatewayDesired::Report(const v1::ReportFindingsRequest& request) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kDeadline);
  v1::ReportFindingsResponse response;
  return WithReason(
      FromGrpc(v1::ProvisionerService::NewStub(Channel())->ReportFindings(&context, request, &response), address_));
}

}  // namespace leasehold::provisioner
