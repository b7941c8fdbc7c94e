#include "services/cli/stack/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace leasehold::stack {

absl::Status WriteFileAtomically(const std::string& path, std::string_view content, mode_t mode) {
  const auto failed = [&path] {
    return absl::FailedPreconditionError(absl::StrCat("cannot write ", path, ": ", strerror(errno)));
  };
  std::string fresh = absl::StrCat(path, ".XXXXXX");
  const int fd = mkostemp(fresh.data(), O_CLOEXEC);  // made with 0600
  if (fd < 0) return failed();
  bool written = true;
  while (written && !content.empty()) {
    const ssize_t n = write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    written = n > 0;
    if (written) content.remove_prefix(static_cast<size_t>(n));
  }
  written = written && fchmod(fd, mode) == 0;
  close(fd);
  if (!written || rename(fresh.c_str(), path.c_str()) != 0) {
    absl::Status status = failed();
    unlink(fresh.c_str());
    return status;
  }
  return absl::OkStatus();
}

}  // namespace leasehold::stack
