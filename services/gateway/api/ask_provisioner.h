// Calls to the provisioners of a service, over NATS: a message with a oneof goes, one with a oneof or an error comes.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/identity/identity.h"
#include "common/jetstream/jetstream.h"

namespace leasehold::gateway {

struct Whom {
  const ServiceName& service;
  std::string subject;         // one of them answers
  std::string subject_of_all;  // each does: for what the one leaves without an answer for `patience_with_one`
  absl::Duration patience;
  absl::Duration patience_with_one;
};

// The answer's bytes. INSTANCE_UNAVAILABLE if no provisioner of the service answers.
absl::StatusOr<std::string> AskForBytes(jetstream::Client& nats, const Whom& whom, const std::string& call);
// What it says went wrong: leasehold.v1.RpcStatus.
absl::Status ErrorOf(std::string_view bytes, const ServiceName& service);
absl::Status MakesNoSense(const ServiceName& service);

// Blocks for at most `whom.patience`. The errors of AskForBytes(), and what the provisioner says.
template <typename Answer, typename Call>
absl::StatusOr<Answer> AskProvisioner(jetstream::Client& nats, const Whom& whom, const Call& call) {
  const absl::StatusOr<std::string> bytes = AskForBytes(nats, whom, call.SerializeAsString());
  if (!bytes.ok()) return bytes.status();
  Answer answer;
  if (!answer.ParseFromString(*bytes)) return MakesNoSense(whom.service);
  if (!answer.error().empty()) return ErrorOf(answer.error(), whom.service);
  return answer;
}

}  // namespace leasehold::gateway
