#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <format>
#include <map>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/localserver/account.h"
#include "common/localserver/localserver.h"
#include "common/status/error.h"

namespace leasehold::localserver {
namespace {

enum class Step : int { kLog, kWorkingDir, kUser, kExec };

struct Failure {
  Step step;
  int error;
};

// All that the child needs, made before fork(): after it only async-signal-safe calls are allowed.
struct Plan {
  std::string program;
  std::vector<char*> argv;
  std::vector<char*> envp;
  std::string working_dir;
  std::optional<Account> account;
  int null_fd = -1;
  int input_fd = -1;
  int output_fd = -1;
  int log_fd = -1;
  int report_fd = -1;
  int max_fd = 0;
  pid_t parent = 0;
};

// Raw system calls: glibc's wrappers take locks to change all threads of a process, and another thread may have held
// them at fork().
bool Become(const Account& account) {
  return syscall(SYS_setgroups, account.groups.size(), account.groups.data()) == 0 &&
         syscall(SYS_setresgid, account.gid, account.gid, account.gid) == 0 &&
         syscall(SYS_setresuid, account.uid, account.uid, account.uid) == 0;
}

void CloseOnExecFrom3(int max_fd) {
  if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
  for (int fd = 3; fd < max_fd; ++fd) fcntl(fd, F_SETFD, FD_CLOEXEC);  // before Linux 5.11
}

[[noreturn]] void RunChild(const Plan& plan) {
  const auto fail = [&plan](Step step) {
    const Failure failure{step, errno};
    [[maybe_unused]] const ssize_t ignored = write(plan.report_fd, &failure, sizeof failure);
    _exit(127);
  };
  setpgid(0, 0);
  if (dup2(plan.input_fd >= 0 ? plan.input_fd : plan.null_fd, STDIN_FILENO) < 0) fail(Step::kLog);
  if (plan.log_fd >= 0 && (dup2(plan.log_fd, STDOUT_FILENO) < 0 || dup2(plan.log_fd, STDERR_FILENO) < 0)) {
    fail(Step::kLog);
  }
  if (plan.output_fd >= 0 && dup2(plan.output_fd, STDOUT_FILENO) < 0) fail(Step::kLog);
  if (!plan.working_dir.empty() && chdir(plan.working_dir.c_str()) != 0) fail(Step::kWorkingDir);
  if (plan.account && !Become(*plan.account)) fail(Step::kUser);

  // After the change of user, which clears it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != plan.parent) _exit(127);

  // Ignored and blocked signals survive exec(); a daemon's children must not inherit its blocked SIGTERM.
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) sigaction(signal, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);

  CloseOnExecFrom3(plan.max_fd);
  execve(plan.program.c_str(), plan.argv.data(), plan.envp.data());
  fail(Step::kExec);
  _exit(127);
}

std::vector<std::string> MergedEnvironment(const std::vector<std::string>& added) {
  std::map<std::string, std::string, std::less<>> merged;
  const auto add = [&merged](std::string_view entry) {
    const size_t equals = entry.find('=');
    if (equals == std::string_view::npos) return;
    merged.insert_or_assign(std::string(entry.substr(0, equals)), std::string(entry.substr(equals + 1)));
  };
  for (char** entry = environ; *entry != nullptr; ++entry) add(*entry);
  for (const std::string& entry : added) add(entry);
  std::vector<std::string> entries;
  for (const auto& [name, value] : merged) entries.push_back(std::format("{}={}", name, value));
  return entries;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& s : strings) pointers.push_back(s.data());
  pointers.push_back(nullptr);
  return pointers;
}

absl::Status Describe(const Failure& failure, const std::string& program, const ChildProcess::Options& options) {
  const std::string_view why = strerror(failure.error);
  switch (failure.step) {
    case Step::kLog:
      return absl::FailedPreconditionError(std::format("cannot redirect the output of {}: {}", program, why));
    case Step::kWorkingDir:
      return absl::FailedPreconditionError(std::format("cannot enter {}: {}", options.working_dir, why));
    case Step::kUser:
      return absl::FailedPreconditionError(std::format("cannot become user {}: {}", options.user, why));
    case Step::kExec:
      return absl::FailedPreconditionError(std::format("cannot execute {}: {}", program, why));
  }
  return absl::InternalError("unknown step");
}

}  // namespace

absl::StatusOr<std::string> FindProgram(std::string_view name, std::span<const std::string> folders) {
  const auto executable = [](const std::string& path) {
    struct stat info = {};
    return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && access(path.c_str(), X_OK) == 0;
  };
  if (name.contains('/')) {
    if (executable(std::string(name))) return std::string(name);
    return absl::FailedPreconditionError(std::format("{} is not an executable file", name));
  }
  const char* path = getenv("PATH");
  std::vector<std::string> candidates = absl::StrSplit(path == nullptr ? "" : path, ':', absl::SkipEmpty());
  candidates.insert(candidates.end(), folders.begin(), folders.end());
  for (const std::string& folder : candidates) {
    std::string file = std::format("{}/{}", folder, name);
    if (executable(file)) return file;
  }
  return absl::FailedPreconditionError(std::format("the program {} is not on PATH; install it", name));
}

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(Options options) {
  if (options.argv.empty()) return absl::InvalidArgumentError("argv is empty");
  Plan plan;
  LH_ASSIGN_OR_RETURN(plan.program, FindProgram(options.argv[0]));
  std::vector<std::string> environment = MergedEnvironment(options.environment);
  plan.argv = Pointers(options.argv);
  plan.envp = Pointers(environment);
  plan.working_dir = options.working_dir;
  plan.input_fd = options.input;
  plan.output_fd = options.output;
  if (!options.user.empty() && geteuid() == 0) {
    LH_ASSIGN_OR_RETURN(plan.account, FindAccount(options.user));
  }
  plan.max_fd = static_cast<int>(std::clamp(sysconf(_SC_OPEN_MAX), 256L, 65536L));
  plan.parent = getpid();

  plan.null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const absl::Cleanup close_null = [&plan] { close(plan.null_fd); };
  if (!options.log_path.empty()) {
    plan.log_fd = open(options.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (plan.log_fd < 0) {
      return absl::FailedPreconditionError(std::format("cannot write {}: {}", options.log_path, strerror(errno)));
    }
  }
  const absl::Cleanup close_log = [&plan] {
    if (plan.log_fd >= 0) close(plan.log_fd);
  };
  // Closed by a successful exec(), so the parent reads either a Failure or the end of the file.
  std::array<int, 2> report = {};
  if (pipe2(report.data(), O_CLOEXEC) != 0) return absl::ResourceExhaustedError("no file descriptor left for a pipe");
  const absl::Cleanup close_report = [&report] { close(report[0]); };
  plan.report_fd = report[1];

  const pid_t pid = fork();
  if (pid == 0) RunChild(plan);
  const int fork_error = errno;
  close(report[1]);
  if (pid < 0) return absl::ResourceExhaustedError(std::format("cannot fork: {}", strerror(fork_error)));
  setpgid(pid, pid);  // so that the group exists when we return, whoever comes first

  Failure failure = {};
  ssize_t got = 0;
  do {
    got = read(report[0], &failure, sizeof failure);
  } while (got < 0 && errno == EINTR);
  if (got == sizeof failure) {
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return Describe(failure, plan.program, options);
  }
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid));
}

ChildProcess::~ChildProcess() {
  if (!Running()) return;
  kill(-pid_, SIGKILL);
  Wait();
}

bool ChildProcess::Running() {
  if (status_) return false;
  int status = 0;
  const pid_t reaped = waitpid(pid_, &status, WNOHANG);
  if (reaped == pid_) status_ = status;
  return !status_;
}

std::optional<int> ChildProcess::exit_status() {
  Running();
  return status_;
}

void ChildProcess::Signal(int signal) {
  if (Running()) kill(pid_, signal);
}

int ChildProcess::Wait() {
  while (!status_) {
    int status = 0;
    const pid_t reaped = waitpid(pid_, &status, 0);
    if (reaped == pid_) status_ = status;
    if (reaped < 0 && errno != EINTR) status_ = 0;  // ECHILD: somebody else reaped it
  }
  return *status_;
}

void ChildProcess::Stop(int signal, absl::Duration patience) {
  Signal(signal);
  const absl::Time give_up = absl::Now() + patience;
  while (Running()) {
    if (absl::Now() > give_up) {
      kill(-pid_, SIGKILL);
      Wait();
      return;
    }
    absl::SleepFor(absl::Milliseconds(2));
  }
}

}  // namespace leasehold::localserver
