#include "services/cli/gateway_client.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/bearer/bearer.h"
#include "common/config/config.h"
#include "common/rpc/channel_credentials.h"
#include "common/rpc/trace_header.h"
#include "common/status/grpc.h"
#include "common/status/view.h"
#include "services/cli/relative_time.h"
#include "services/cli/tls_trouble.h"

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

// What is answered there to `question`, as far as it comes in one piece and within half a second.
std::string AnswerTo(std::string_view question, const HostPort& address) {
  const int fd = ConnectBriefly(address);
  if (fd < 0) return "";
  const absl::Cleanup hang_up = [fd] { close(fd); };
  if (send(fd, question.data(), question.size(), MSG_NOSIGNAL) < 0) return "";
  std::array<char, 16> answer{};
  const ssize_t size = recv(fd, answer.data(), answer.size(), 0);
  return {answer.data(), static_cast<size_t>(std::max<ssize_t>(size, 0))};
}

// A daemon's other port, which hangs up on gRPC. Empty: neither of them.
std::string_view OtherPort(const HostPort& address) {
  static constexpr std::string_view kSslRequest("\0\0\0\x08\x04\xd2\x16\x2f", 8);
  const std::string answer = AnswerTo(kSslRequest, address);
  if (answer == "S" || answer == "N") return "an SQL port";
  if (AnswerTo("GET /livez HTTP/1.0\r\n\r\n", address).starts_with("HTTP/1.")) return "an HTTP port";
  return "";
}

}  // namespace

GatewayClient::GatewayClient(GatewayTarget target, absl::Duration connect_patience)
    : address_(std::move(target.address)), credentials_(std::move(target.credentials)) {
  grpc::ChannelArguments arguments;
  // The gateway is a neighbour: a proxy named in the environment is meant for other traffic.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(64 * 1024 * 1024);
  // It bounds each attempt to connect, too.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, static_cast<int>(absl::ToInt64Milliseconds(connect_patience)));
  auto interceptors = ShowToken(target.token_file);
  interceptors.push_back(rpc::ShowTrace(target.trace));
  auto channel = grpc::experimental::CreateCustomChannelWithInterceptors(
      address_, rpc::ChannelCredentials(credentials_.get()), arguments, std::move(interceptors));
  tenants_ = v1::TenantService::NewStub(channel);
  leases_ = v1::LeaseService::NewStub(channel);
  operations_ = v1::OperationService::NewStub(channel);
  backups_ = v1::BackupService::NewStub(channel);
  migrations_ = v1::MigrationService::NewStub(channel);
  pools_ = v1::PoolService::NewStub(channel);
  doctor_ = v1::DoctorService::NewStub(channel);
  logs_ = v1::LogService::NewStub(channel);
  policy_ = v1::PolicyService::NewStub(channel);
  audit_ = v1::AuditService::NewStub(channel);
  instances_ = v1::InstanceService::NewStub(channel);
  status_ = v1::StatusService::NewStub(channel);
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
    if (const std::string_view other = parsed.ok() ? OtherPort(*parsed) : ""; !other.empty()) {
      return absl::UnavailableError(absl::StrCat(address_, " is ", AbslView(other),
                                                 "; give the gateway's gRPC port (7450 by default) with --gateway or "
                                                 "LEASEHOLD_GATEWAY"));
    }
    if (const std::string trouble = parsed.ok() ? TlsTrouble(*parsed, credentials_.get()) : ""; !trouble.empty()) {
      return absl::UnavailableError(absl::StrCat("the gateway at ", address_, " ", trouble));
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
