// Calls from the gateway, over NATS: a message with a oneof comes, one with a oneof or an error goes back.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "common/status/error.h"
#include "common/status/grpc.h"
#include "common/telemetry/span.h"
#include "services/provisioner/steps/instance.h"

namespace leasehold::provisioner {

// `bytes` come from a stranger, too: what is no Call is answered with INVALID_FIELD, which names `kind`. `doing` stands
// in errors of the instance. `work`: absl::Status(const Call&, Answer&).
template <typename Call, typename Answer, typename Work>
std::string AnswerTo(std::string_view bytes, std::string_view kind, std::string_view doing, Work work) {
  Span span(doing, SpanKind::kServer);
  Call call;
  Answer answer;
  absl::Status status = InvalidField("call", "", kind);
  if (call.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) status = Explain(work(call, answer), doing);
  if (!span.Note(status).ok()) {
    answer.Clear();
    answer.set_error(ToGrpc(status).error_details());
  }
  return answer.SerializeAsString();
}

}  // namespace leasehold::provisioner
