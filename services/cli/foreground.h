// Signals as a file descriptor, and another program in the foreground of our terminal.
#pragma once

#include <signal.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "services/cli/held_lease.h"

namespace leasehold::cli {

// SIGINT, SIGTERM and SIGHUP no longer end the process but wait to be taken. Construct before the first thread.
class SignalFd {
 public:
  SignalFd();
  ~SignalFd();
  SignalFd(const SignalFd&) = delete;
  SignalFd& operator=(const SignalFd&) = delete;

  struct Signal {
    int number;
    bool from_terminal;  // the terminal sent it to our children too
  };
  int fd() const { return fd_; }
  Signal Take();  // blocks if none waits
  const sigset_t& mask_before() const { return before_; }

 private:
  sigset_t before_;
  int fd_ = -1;
};

using Variables = std::vector<std::pair<std::string, std::string>>;

// What libpq reads to connect with `credentials`, among them the password; for the environment of a child, never its
// argv.
// With `ca`, the path of a PEM file: whoever answers has to show a certificate of it that names the host, unless the
// user's own PGSSLMODE or PGSSLROOTCERT say otherwise.
Variables LibpqVariables(const v1::Credentials& credentials, const std::string& ca = "");

// Our environment with `set` in place and without libpq's variables that would lead elsewhere (PGHOSTADDR, PGSERVICE
// …).
std::vector<std::string> ChildEnvironment(const char* const* ours, const Variables& set);

// Runs argv with `environment` on our stdin, stdout and stderr until it ends; its exit code, 128 + n if signal n ended
// it. A terminal's Ctrl-C is the child's business, other signals are passed on. When `held` ends early, stderr says so;
// the child goes on. FAILED_PRECONDITION if the program cannot be started.
absl::StatusOr<int> RunForeground(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
                                  SignalFd& signals, const HeldLease& held);

}  // namespace leasehold::cli
