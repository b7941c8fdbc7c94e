// How many events wait for each durable consumer: for the registry, and for the provisioners of each service, which
// cannot tell of theirs while they are away. A provisioner's consumer that there is not is made:
// events::TenantConsumer().
#pragma once

#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/jetstream/jetstream.h"
#include "common/telemetry/metrics.h"
#include "services/gateway/registry/pulse.h"

namespace leasehold::gateway {

class Backlog {
 public:
  // Asks every `interval`. `nats` and `metrics` outlive it.
  Backlog(jetstream::Client& nats, const std::vector<std::string>& services, absl::Duration interval, Metrics& metrics);
  ~Backlog();  // joins

 private:
  struct Consumer {
    std::string stream;
    std::string durable;
    std::string service = {};  // whose provisioners' it is; empty: the registry's
  };
  void Run();
  void Make(const Consumer& consumer);
  std::vector<prometheus::MetricFamily> Families() const ABSL_LOCKS_EXCLUDED(mu_);

  jetstream::Client& nats_;
  const absl::Duration interval_;
  std::vector<Consumer> consumers_;
  mutable absl::Mutex mu_;
  std::vector<std::pair<Consumer, uint64_t>> pending_ ABSL_GUARDED_BY(mu_);  // of those that could be asked
  const Metrics::Handle source_;
  Pulse pulse_;
  std::thread thread_;
};

}  // namespace leasehold::gateway
