// Asks the provisioners of a service about its migrations.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/executor/executor.h"
#include "common/identity/identity.h"
#include "common/jetstream/jetstream.h"
#include "leasehold/v1/migration.pb.h"
#include "services/gateway/lease/services.h"

namespace leasehold::gateway {

// Any thread.
class MigrationAsker {
 public:
  MigrationAsker(jetstream::Client& nats, const KnownServices& services);

  // Blocks, at most ten seconds, two of them on a provisioner that stands still while others could answer: a call may
  // reach several, and once more when that one goes on, so each kind of call is such that this does no harm.
  // SERVICE_NOT_FOUND; INSTANCE_UNAVAILABLE if no provisioner of the service answers; what the provisioner says.
  absl::StatusOr<v1::MigrationAnswer> Ask(std::string_view service, const v1::MigrationCall& call);
  // The service of a run's id, "identity.7". OPERATION_NOT_FOUND for what is no id.
  static absl::StatusOr<std::string> ServiceOf(std::string_view run);

  // Where Ask() may be called from.
  Executor& executor() { return executor_; }

 private:
  jetstream::Client& nats_;
  const KnownServices& services_;
  Executor executor_;
};

}  // namespace leasehold::gateway
