#include "services/cli/foreground.h"

#include <poll.h>
#include <spawn.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string_view>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/status/error.h"
#include "services/cli/command.h"

namespace leasehold::cli {
namespace {

// Of libpq's own list: those that would override host, port, database, user or password.
constexpr std::array<std::string_view, 8> kMisleading = {"PGHOST", "PGHOSTADDR", "PGPORT",    "PGDATABASE",
                                                         "PGUSER", "PGPASSWORD", "PGSERVICE", "PGPASSFILE"};

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const auto& s : strings) pointers.push_back(const_cast<char*>(s.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

int ExitCode(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

}  // namespace

SignalFd::SignalFd() {
  sigset_t taken;
  sigemptyset(&taken);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&taken, signal);
  pthread_sigmask(SIG_BLOCK, &taken, &before_);
  fd_ = signalfd(-1, &taken, SFD_CLOEXEC);
}

SignalFd::~SignalFd() {
  close(fd_);
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

SignalFd::Signal SignalFd::Take() {
  signalfd_siginfo info{};
  while (read(fd_, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) {
  }
  return {.number = static_cast<int>(info.ssi_signo), .from_terminal = info.ssi_code == SI_KERNEL};
}

Variables LibpqVariables(const v1::Credentials& credentials, const std::string& ca) {
  Variables variables = {{"PGHOST", credentials.host()},
                         {"PGPORT", absl::StrCat(credentials.port())},
                         {"PGDATABASE", credentials.database()},
                         {"PGUSER", credentials.user()},
                         {"PGPASSWORD", credentials.password()}};
  if (!ca.empty() && std::getenv("PGSSLMODE") == nullptr && std::getenv("PGSSLROOTCERT") == nullptr) {
    variables.emplace_back("PGSSLMODE", "verify-full");
    variables.emplace_back("PGSSLROOTCERT", std::filesystem::absolute(ca).string());
  }
  return variables;
}

std::vector<std::string> ChildEnvironment(const char* const* ours, const Variables& set) {
  std::vector<std::string> environment;
  for (; *ours != nullptr; ++ours) {
    const std::string_view entry = *ours;
    const std::string_view name = entry.substr(0, entry.find('='));
    const bool replaced = std::ranges::any_of(set, [&](const auto& variable) { return variable.first == name; });
    if (!replaced && !std::ranges::contains(kMisleading, name)) environment.emplace_back(entry);
  }
  for (const auto& [name, value] : set) environment.push_back(absl::StrCat(name, "=", value));
  return environment;
}

absl::StatusOr<int> RunForeground(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
                                  SignalFd& signals, const HeldLease& held) {
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  const absl::Cleanup destroy = [&] { posix_spawnattr_destroy(&attributes); };
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setsigmask(&attributes, &signals.mask_before());
  pid_t pid = 0;
  const int error =
      posix_spawnp(&pid, argv[0].c_str(), nullptr, &attributes, Pointers(argv).data(), Pointers(environment).data());
  if (error != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot run ", Printable(argv[0]), ": ", error == ENOENT ? "it is not on PATH" : strerror(error)));
  }
  const int child = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  const absl::Cleanup close_child = [child] { close(child); };
  std::array<pollfd, 3> fds = {pollfd{.fd = child, .events = POLLIN, .revents = 0},
                               pollfd{.fd = signals.fd(), .events = POLLIN, .revents = 0},
                               pollfd{.fd = held.ended_fd(), .events = POLLIN, .revents = 0}};
  while (child >= 0) {
    if (poll(fds.data(), fds.size(), -1) < 0) continue;
    if (fds[0].revents != 0) break;
    if (fds[1].revents != 0) {
      const SignalFd::Signal signal = signals.Take();
      if (!signal.from_terminal) kill(pid, signal.number);
    }
    if (fds[2].revents != 0) {
      fds[2].fd = -1;
      std::cerr << ErrorLine(absl::StrCat("the lease has ended: ", held.EndReason().message())) << std::endl;
    }
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return ExitCode(status);
}

}  // namespace leasehold::cli
