// leasehold lease hold TENANT SERVICE: a lease that lives exactly as long as this process.
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/status/error.h"
#include "services/cli/acquire_flags.h"
#include "services/cli/foreground.h"
#include "services/cli/json.h"
#include "services/cli/show.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {
namespace {

struct Flags : AcquireFlags {
  bool dsn = false;
};

// A terminal, pipe or socket that somebody can close. /dev/null, which shells give to background jobs, always reads as
// closed and means nothing.
bool StdinMeansSomething() {
  struct stat info{};
  if (fstat(STDIN_FILENO, &info) != 0) return false;
  return isatty(STDIN_FILENO) == 1 || S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode);
}

// Until Ctrl-C, SIGTERM or the end of stdin: OK. Until the gateway ends the lease: why.
absl::Status AwaitEnd(SignalFd& signals, const HeldLease& held) {
  std::array<pollfd, 3> fds = {pollfd{.fd = signals.fd(), .events = POLLIN, .revents = 0},
                               pollfd{.fd = held.ended_fd(), .events = POLLIN, .revents = 0},
                               pollfd{.fd = StdinMeansSomething() ? STDIN_FILENO : -1, .events = POLLIN, .revents = 0}};
  for (;;) {
    if (poll(fds.data(), fds.size(), -1) < 0) continue;
    if (fds[0].revents != 0) {
      signals.Take();  // or it would end us once it is no longer blocked
      return absl::OkStatus();
    }
    if (fds[1].revents != 0) {
      return absl::AbortedError(absl::StrCat("the lease has ended: ", held.EndReason().message()));
    }
    std::array<char, 4096> ignored{};
    if (fds[2].revents != 0 && read(STDIN_FILENO, ignored.data(), ignored.size()) <= 0) return absl::OkStatus();
  }
}

absl::StatusOr<int> Hold(const Command& command, const Flags& flags) {
  SignalFd signals;
  GatewayClient client(command.gateway);
  LH_ASSIGN_OR_RETURN(const auto held, HeldLease::Acquire(client, flags.Request(ThisUser()), signals.fd()));
  if (command.has_tail) {
    Variables variables = LibpqVariables(held->credentials(), command.ca);
    variables.emplace_back("LEASEHOLD_LEASE", held->lease().id());
    return RunForeground(command.tail, ChildEnvironment(environ, variables), signals, *held);
  }
  if (flags.dsn) {
    std::cout << held->credentials().dsn() << std::endl;
  } else if (command.json) {
    std::cout << ToJson(held->response()) << std::flush;
  } else {
    std::cout << ShowAcquired(held->response(), {command.terminal, absl::Now()}) << std::flush;
    if (command.terminal.out) std::cerr << "held until Ctrl-C" << std::endl;
  }
  LH_RETURN_IF_ERROR(AwaitEnd(signals, *held));
  return kDone;
}

}  // namespace

void AddLeaseHold(CLI::App& group, Command& command) {
  auto flags = std::make_shared<Flags>();
  CLI::App* app = group.add_subcommand(
      "hold", "Take a lease that lives as long as this process (until Ctrl-C, SIGTERM or the end of stdin)");
  flags->AddTo(*app, AcquireFlags::Life::kHeld);
  app->add_flag("--dsn", flags->dsn, "Print the DSN alone");
  app->footer("--exec CMD…: run CMD with PGHOST, PGUSER, PGPASSWORD … set, until it ends; exits with its code");
  app->callback([flags, &command] {
    flags->Check();
    if (flags->dsn && command.json) UsageError("give one of --dsn and --json");
    command.takes_tail = true;
    if (command.has_tail && command.tail.empty()) UsageError("--exec needs a command");
    if (command.has_tail && (flags->dsn || command.json))
      UsageError("--exec prints nothing of its own: drop --dsn and --json");
    command.run = [flags, &command] { return Hold(command, *flags); };
  });
}

}  // namespace leasehold::cli
