#include "services/cli/stack/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>

#include "absl/strings/str_cat.h"

namespace leasehold::stack {
namespace {

absl::Status Failed(const std::string& path) {
  return absl::FailedPreconditionError(absl::StrCat("cannot write ", path, ": ", strerror(errno)));
}

// `prepare`: of the new file's descriptor, before it is in place; false: errno says why.
absl::Status Write(const std::string& path, std::string_view content, const std::function<bool(int fd)>& prepare) {
  std::string fresh = absl::StrCat(path, ".XXXXXX");
  const int fd = mkostemp(fresh.data(), O_CLOEXEC);  // made with 0600
  if (fd < 0) return Failed(path);
  bool written = true;
  while (written && !content.empty()) {
    const ssize_t n = write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    written = n > 0;
    if (written) content.remove_prefix(static_cast<size_t>(n));
  }
  written = written && prepare(fd) && fsync(fd) == 0;
  close(fd);
  if (!written || rename(fresh.c_str(), path.c_str()) != 0) {
    absl::Status status = Failed(path);
    unlink(fresh.c_str());
    return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteFileAtomically(const std::string& path, std::string_view content, mode_t mode) {
  return Write(path, content, [mode](int fd) { return fchmod(fd, mode) == 0; });
}

absl::Status ReplaceFileAtomically(const std::string& path, std::string_view content) {
  struct stat now{};
  if (stat(path.c_str(), &now) != 0) return Failed(path);
  return Write(path, content, [&now](int fd) {
    return fchown(fd, now.st_uid, now.st_gid) == 0 && fchmod(fd, now.st_mode & 07777) == 0;
  });
}

}  // namespace leasehold::stack
