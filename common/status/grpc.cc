#include "common/status/grpc.h"

#include <format>
#include <optional>
#include <string>

#include "common/status/error.h"

namespace leasehold {

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const std::string text(ClientText(status));
  std::optional<v1::ErrorDetail> detail = DetailOf(status);
  if (!detail && absl::IsCancelled(status)) return grpc::Status(grpc::StatusCode::CANCELLED, text);
  absl::StatusCode code = status.code();
  if (!detail) {
    detail.emplace().set_reason(ReasonOf(status));
    code = CodeOf(detail->reason());
  }
  v1::RpcStatus rpc;
  rpc.set_code(static_cast<int>(code));
  rpc.set_message(text);
  rpc.add_details()->PackFrom(*detail, "type.leasehold.dev");
  if (detail->has_retry_after()) {
    google::protobuf::Any& retry = *rpc.add_details();
    retry.set_type_url("type.googleapis.com/google.rpc.RetryInfo");
    v1::RpcRetryInfo info;
    *info.mutable_retry_delay() = detail->retry_after();
    info.SerializeToString(retry.mutable_value());
  }
  return grpc::Status(static_cast<grpc::StatusCode>(code), text, rpc.SerializeAsString());
}

absl::Status FromGrpc(const grpc::Status& status, std::string_view peer) {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  v1::RpcStatus rpc;
  if (rpc.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& any : rpc.details()) {
      v1::ErrorDetail detail;
      if (any.UnpackTo(&detail)) return WithDetail(absl::Status(code, status.error_message()), detail);
    }
  }
  // The text of gRPC's own failures speaks of sockets and resolvers; what the user typed says more.
  if (code == absl::StatusCode::kUnavailable) return absl::UnavailableError(std::format("{} does not answer", peer));
  if (code == absl::StatusCode::kDeadlineExceeded) {
    return absl::DeadlineExceededError(std::format("{} did not answer in time", peer));
  }
  if (status.error_message().empty()) {
    return absl::Status(code, std::format("{} answered {}", peer, absl::StatusCodeToString(code)));
  }
  return absl::Status(code, status.error_message());
}

}  // namespace leasehold
