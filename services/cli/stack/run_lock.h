// Who runs the stack of a state folder: a locked pid file.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace leasehold::stack {

// Held by the supervisor for as long as it lives; the kernel lets go of it however the process ends.
class RunLock {
 public:
  // FAILED_PRECONDITION if another supervisor holds it, which `stop_command` would stop.
  static absl::StatusOr<RunLock> Take(const std::string& state_dir, const std::string& stop_command);
  RunLock(RunLock&& other) noexcept;
  RunLock& operator=(RunLock&&) = delete;
  ~RunLock();  // removes the file

 private:
  RunLock(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::string path_;
  int fd_;
};

// A process as the kernel knows it; a pid alone may have been given to a stranger.
struct ProcessIdentity {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // field 22 of /proc/<pid>/stat
  bool operator==(const ProcessIdentity&) const = default;
};
// nullopt if there is no such process.
std::optional<ProcessIdentity> Identify(pid_t pid);

// The supervisor of `state_dir`; nullopt if none runs, whatever a stale file says. FAILED_PRECONDITION if one runs that
// is not to be seen from here (another container's).
absl::StatusOr<std::optional<ProcessIdentity>> FindSupervisor(const std::string& state_dir);

}  // namespace leasehold::stack
