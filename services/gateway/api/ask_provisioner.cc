#include "services/gateway/api/ask_provisioner.h"

#include <format>

#include "common/status/error.h"
#include "common/status/grpc.h"
#include "common/telemetry/span.h"

namespace leasehold::gateway {

absl::StatusOr<std::string> AskForBytes(jetstream::Client& nats, const Whom& whom, const std::string& call) {
  Span span("ask provisioner", SpanKind::kClient, {{"service", whom.service.str()}});
  absl::StatusOr<std::string> bytes = nats.Request(whom.subject, call, whom.patience,
                                                   {.subject = whom.subject_of_all, .after = whom.patience_with_one});
  span.Note(bytes.status());
  if (!bytes.ok() && ReasonOf(bytes.status()) == v1::REASON_NATS_UNAVAILABLE && nats.connected()) {
    return WithRetryAfter(
        Error(v1::REASON_INSTANCE_UNAVAILABLE, std::format("no provisioner of {} answers", whom.service.str())),
        absl::Seconds(1));
  }
  return bytes;
}

absl::Status ErrorOf(std::string_view bytes, const ServiceName& service) {
  v1::RpcStatus error;
  if (!error.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Error(v1::REASON_INTERNAL, "a provisioner failed without a reason");
  }
  return FromGrpc(grpc::Status(static_cast<grpc::StatusCode>(error.code()), error.message(), std::string(bytes)),
                  service.str());
}

absl::Status MakesNoSense(const ServiceName& service) {
  return Error(v1::REASON_INTERNAL,
               std::format("a provisioner of {} gave an answer that makes no sense", service.str()));
}

}  // namespace leasehold::gateway
