#include "services/cli/stack/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/status/error.h"

namespace leasehold::stack {
namespace {

std::string PathOf(const std::string& state_dir) { return absl::StrCat(state_dir, "/stack.pid"); }

// False if the file was removed or replaced after we opened it.
bool StillNamed(int fd, const std::string& path) {
  struct stat open_file{};
  struct stat named{};
  return fstat(fd, &open_file) == 0 && stat(path.c_str(), &named) == 0 && open_file.st_ino == named.st_ino &&
         open_file.st_dev == named.st_dev;
}

std::optional<ProcessIdentity> ReadIdentity(int fd) {
  std::array<char, 64> buffer{};
  const ssize_t n = pread(fd, buffer.data(), buffer.size() - 1, 0);
  ProcessIdentity identity;
  unsigned long long ticks = 0;
  if (n <= 0 || std::sscanf(buffer.data(), "%d %llu", &identity.pid, &ticks) != 2) return std::nullopt;
  identity.start_ticks = ticks;
  return identity;
}

}  // namespace

std::optional<ProcessIdentity> Identify(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  // The second field, the program's name in parentheses, may hold anything.
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  const std::vector<std::string> fields = absl::StrSplit(line.substr(name_end + 1), ' ', absl::SkipEmpty());
  constexpr size_t kState = 0;
  constexpr size_t kStartTime = 19;  // field 22, counted from the third
  uint64_t ticks = 0;
  if (fields.size() <= kStartTime || fields[kState] == "Z" || !absl::SimpleAtoi(fields[kStartTime], &ticks)) {
    return std::nullopt;
  }
  return ProcessIdentity{.pid = pid, .start_ticks = ticks};
}

absl::StatusOr<RunLock> RunLock::Take(const std::string& state_dir, const std::string& stop_command) {
  const std::string path = PathOf(state_dir);
  for (;;) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return absl::FailedPreconditionError(absl::StrCat("cannot write ", path, ": ", strerror(errno)));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      const auto owner = ReadIdentity(fd);
      close(fd);
      return absl::FailedPreconditionError(absl::StrCat("a stack already runs in ", state_dir,
                                                        owner ? absl::StrCat(" (pid ", owner->pid, ")") : "",
                                                        "; stop it with: ", stop_command));
    }
    if (!StillNamed(fd, path)) {  // its former holder removed it meanwhile
      close(fd);
      continue;
    }
    const auto self = Identify(getpid());
    const std::string text = absl::StrCat(getpid(), " ", self ? self->start_ticks : 0, "\n");
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
      absl::Status status = absl::FailedPreconditionError(absl::StrCat("cannot write ", path, ": ", strerror(errno)));
      close(fd);
      return status;
    }
    return RunLock(path, fd);
  }
}

RunLock::RunLock(RunLock&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

RunLock::~RunLock() {
  if (fd_ < 0) return;
  unlink(path_.c_str());
  close(fd_);
}

absl::StatusOr<std::optional<ProcessIdentity>> FindSupervisor(const std::string& state_dir) {
  const std::string path = PathOf(state_dir);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  const absl::Cleanup close_fd = [fd] { close(fd); };
  std::optional<ProcessIdentity> owner;
  // Between taking the lock and writing the file lies a moment.
  for (int tries = 0; tries < 20 && !owner; ++tries) {
    if (tries > 0) absl::SleepFor(absl::Milliseconds(10));
    if (flock(fd, LOCK_SH | LOCK_NB) == 0) return std::nullopt;
    owner = ReadIdentity(fd);
  }
  if (!owner || Identify(owner->pid) != owner) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the stack of ", state_dir, " runs where this command cannot see it (another container?); stop it there"));
  }
  return owner;
}

}  // namespace leasehold::stack
