// Looks after the certificates of a daemon: reads them again when they change, and tells when they end.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/executor/worker_thread.h"
#include "common/telemetry/metrics.h"
#include "common/tls/live_credentials.h"

namespace leasehold::tls {

// Any thread. Bad files are logged, counted in leasehold_certificate_reload_failures_total, and change nothing.
class Watcher {
 public:
  // How often it looks; a change is taken up after twice as long at most.
  static constexpr absl::Duration kPeriod = absl::Seconds(1);

  // `clock` and `metrics` outlive it.
  Watcher(const Clock& clock, Metrics& metrics) : clock_(clock), metrics_(metrics) {}

  // As Credentials::Read. `use`: "grpc", "sql", "instance/core": what the metrics and the log call it.
  absl::StatusOr<std::shared_ptr<const LiveCredentials>> Watch(const std::string& use, Options options);

  // Looks on a thread of its own until it is destroyed.
  void Start();
  // One look at all of them.
  void Look();

 private:
  struct Watched {
    std::shared_ptr<LiveCredentials> credentials;
    prometheus::Gauge* expiry = nullptr;
    prometheus::Counter* failures = nullptr;
  };
  void LookAt(const std::string& use, Watched& watched);

  const Clock& clock_;
  Metrics& metrics_;
  absl::Mutex mu_;
  std::map<std::string, Watched> watched_ ABSL_GUARDED_BY(mu_);
  WorkerThread thread_;  // goes first
};

}  // namespace leasehold::tls
