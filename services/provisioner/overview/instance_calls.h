// What the gateway asks of a service's instance and of its provisioner, answered: one InstanceCall, one InstanceAnswer.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/postgres/postgres.h"
#include "leasehold/v1/instance.pb.h"
#include "services/provisioner/rollout/run_store.h"
#include "services/provisioner/steps/instance.h"

namespace leasehold::provisioner {

class InstanceCalls {
 public:
  struct Options {
    absl::Time start_time;
    int min_spares = 0;
    int max_spares = 0;
  };
  struct Parts {
    const Instance& instance;
    postgres::ConnectionPool& central;  // one connection is used at a time
    RunStore& runs;
    // Whether all tenants have been compared with what should be; any thread. Not yet: the passwords of the service's
    // own roles may be outdated too, and nobody counts these.
    std::function<bool()> compared = [] { return true; };
  };
  InstanceCalls(Options options, Parts parts) : options_(options), parts_(std::move(parts)) {}

  // Any thread; blocks on one or two short transactions, and as LookAt(). `call`: as AnswerTo().
  std::string Answer(std::string_view call);

  absl::StatusOr<v1::ProvisionerStatus> Status(const v1::ProvisionerStatusRequest& request);

 private:
  absl::Status Fill(const v1::InstanceCall& call, v1::InstanceAnswer& answer);

  const Options options_;
  const Parts parts_;
};

}  // namespace leasehold::provisioner
