// Files that are read again when they change: the policy, tokens, keys.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/executor/worker_thread.h"
#include "common/secret/secret.h"
#include "common/telemetry/metrics.h"

namespace leasehold {

// Any thread. Keeps digests of what it has read, not the texts.
class Reloader {
 public:
  static constexpr absl::Duration kPeriod = absl::Seconds(1);

  // Makes use of a file's text as a whole, or returns why it cannot and changes nothing.
  using Take = std::function<absl::Status(std::string_view text)>;

  explicit Reloader(Metrics& metrics) : metrics_(metrics) {}

  // Reads the file for the first time: what is wrong with it then is the caller's to tell. `what`: "policy", "tokens",
  // for the log and the metrics.
  absl::Status Watch(std::string what, std::string path, Take take);
  // The same of a file that ReadSecretFile() reads: not empty, 64 KiB at most, no copy of it left behind.
  absl::Status WatchSecret(std::string what, std::string path, Take take);

  // Looks on a thread of its own until it is destroyed.
  void Start();
  // One look at all of them. What two looks have seen is taken up: it may be half written at the first. A bad text is
  // logged once and counted in leasehold_reload_failures_total; what was read before stays in use.
  void Look();

 private:
  using Read = absl::StatusOr<Secret> (*)(const std::string& what, const std::string& path);
  using Digest = std::array<uint8_t, 32>;
  struct File {
    std::string what;
    std::string path;
    Read read;
    Take take;
    Digest taken;  // of the text, or of why it could not be read, that was dealt with last
    Digest seen;   // by the last look
  };
  absl::Status Watch(std::string what, std::string path, Read read, Take take);
  void LookAt(File& file);

  Metrics& metrics_;
  absl::Mutex mu_;
  std::vector<File> files_ ABSL_GUARDED_BY(mu_);
  WorkerThread thread_;  // goes first
};

}  // namespace leasehold
