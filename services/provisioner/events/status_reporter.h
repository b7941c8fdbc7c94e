// Tells the gateway what this provisioner has made of each tenant: every status in the records that the stream
// PROVISIONING does not hold yet is published, and marked only after the stream has stored it.
#pragma once

#include <map>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/clock/clock.h"
#include "common/identity/identity.h"
#include "common/jetstream/jetstream.h"
#include "common/telemetry/metrics.h"
#include "services/provisioner/state/records.h"

namespace leasehold::provisioner {

class StatusReporter {
 public:
  StatusReporter(jetstream::Client& client, Records& records, ServiceName service, Metrics& metrics);
  ~StatusReporter();  // Stop()

  void Start();
  void Stop();
  // There is something to report. Any thread; does not block.
  void Wake();

  // Publishes all that is unreported. UNAVAILABLE if the stream or the records could not be reached: the rest follows
  // later.
  absl::Status PublishPending();

 private:
  void Run();
  absl::Status Publish(const TenantRecord& record);
  void CountTenants();

  jetstream::Client& client_;
  Records& records_;
  const ServiceName service_;
  Metrics& metrics_;

  absl::Mutex mu_;
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace leasehold::provisioner
