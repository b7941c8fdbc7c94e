// Files that are read again when they change: the policy, the tokens, issuers' keys.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/executor/worker_thread.h"
#include "common/telemetry/metrics.h"

namespace leasehold::gateway {

class Reloader {
 public:
  static constexpr absl::Duration kPeriod = absl::Seconds(1);

  // Makes use of a file's text as a whole, or returns why it cannot and changes nothing.
  using Take = std::function<absl::Status(const std::string& text)>;

  explicit Reloader(Metrics& metrics) : metrics_(metrics) {}

  // Reads the file for the first time: what is wrong with it then is the caller's to tell. `what`: "policy", "tokens",
  // for the log and the metrics.
  absl::Status Watch(std::string what, std::string path, Take take);

  // Looks on a thread of its own until it is destroyed.
  void Start();
  // One look at all of them. What two looks have seen is taken up: it may be half written at the first. A bad text is
  // logged once and counted in leasehold_reload_failures_total; what was read before stays in use.
  void Look();

 private:
  struct File {
    std::string what;
    std::string path;
    Take take;
    std::string taken;  // the text, or why it could not be read, that was dealt with last
    std::string seen;   // by the last look
  };
  void LookAt(File& file);

  Metrics& metrics_;
  absl::Mutex mu_;
  std::vector<File> files_ ABSL_GUARDED_BY(mu_);
  WorkerThread thread_;  // goes first
};

}  // namespace leasehold::gateway
