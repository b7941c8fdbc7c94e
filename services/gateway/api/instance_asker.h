// Asks the provisioners of a service about its instance and about themselves.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/executor/executor.h"
#include "common/jetstream/jetstream.h"
#include "leasehold/v1/instance.pb.h"
#include "services/gateway/lease/services.h"

namespace leasehold::gateway {

// Any thread.
class InstanceAsker {
 public:
  InstanceAsker(jetstream::Client& nats, const KnownServices& services);

  enum class Whose {
    kOne,  // one of a service's provisioners answers, whichever
    kAll,  // all of them are told, and the first answer counts
  };
  // Blocks for at most `patience`, half of it on a provisioner that stands still while others could answer.
  // SERVICE_NOT_FOUND; INSTANCE_UNAVAILABLE if no provisioner of the service answers; what the provisioner says.
  absl::StatusOr<v1::InstanceAnswer> Ask(const std::string& service, const v1::InstanceCall& call,
                                         absl::Duration patience, Whose whose = Whose::kOne);

  using Answers = std::vector<absl::StatusOr<v1::InstanceAnswer>>;
  // The same of several at once; `done` with an answer for each, in their order, on a thread of its own. Does not
  // block. False, and `done` is dropped, while shutting down.
  bool AskAll(std::vector<std::string> services, v1::InstanceCall call, absl::Duration patience,
              std::move_only_function<void(Answers)> done, Whose whose = Whose::kOne);

 private:
  jetstream::Client& nats_;
  const KnownServices& services_;
  Executor executor_;
};

}  // namespace leasehold::gateway
