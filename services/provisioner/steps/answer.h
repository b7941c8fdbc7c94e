// Calls from the gateway, over NATS: a message with a oneof comes, one with a oneof or an error goes back.
#pragma once

#include <format>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "common/status/error.h"
#include "common/status/grpc.h"
#include "common/telemetry/span.h"
#include "services/provisioner/steps/instance.h"

namespace leasehold::provisioner {

// What NATS takes as one message (max_payload, 1 MiB), with room for headers. What may be more has pages, each of which
// ends when it has reached kPageBytes.
inline constexpr size_t kMaxAnswerBytes = (1 << 20) - (1 << 12);
inline constexpr size_t kPageBytes = kMaxAnswerBytes / 2;

// `bytes` come from a stranger, too: what is no Call is answered with INVALID_FIELD, which names `kind`. `doing` stands
// in errors of the instance. `work`: absl::Status(const Call&, Answer&).
template <typename Call, typename Answer, typename Work>
std::string AnswerTo(std::string_view bytes, std::string_view kind, std::string_view doing, Work work) {
  Span span(doing, SpanKind::kServer);
  Call call;
  Answer answer;
  absl::Status status = InvalidField("call", "", kind);
  if (call.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) status = Explain(work(call, answer), doing);
  std::string text = answer.SerializeAsString();
  if (status.ok() && text.size() > kMaxAnswerBytes) {
    status = Error(v1::REASON_INTERNAL,
                   std::format("{}: an answer of {} bytes is more than one message of NATS takes", doing, text.size()));
  }
  if (span.Note(status).ok()) return text;
  answer.Clear();
  answer.set_error(ToGrpc(status).error_details());
  return answer.SerializeAsString();
}

}  // namespace leasehold::provisioner
