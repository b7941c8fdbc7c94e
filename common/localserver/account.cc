#include "common/localserver/account.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <format>

namespace leasehold::localserver {
namespace {

bool MayEnter(const Account& account, const struct stat& info) {
  if (info.st_uid == account.uid) return (info.st_mode & S_IXUSR) != 0;
  const bool member = std::ranges::contains(account.groups, info.st_gid);
  return (info.st_mode & (member ? S_IXGRP : S_IXOTH)) != 0;
}

}  // namespace

absl::StatusOr<Account> FindAccount(const std::string& name) {
  std::vector<char> buffer(16384);
  struct passwd entry = {};
  struct passwd* found = nullptr;
  if (getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return absl::FailedPreconditionError(
        std::format("this machine has no user {}; create one, or run as a user other than root", name));
  }
  Account account{.name = name, .uid = entry.pw_uid, .gid = entry.pw_gid, .groups = std::vector<gid_t>(64)};
  int count = static_cast<int>(account.groups.size());
  while (getgrouplist(name.c_str(), account.gid, account.groups.data(), &count) < 0) account.groups.resize(count);
  account.groups.resize(count);
  return account;
}

absl::Status CheckReachable(const Account& account, const std::string& folder) {
  std::filesystem::path path;
  for (const std::filesystem::path& part : std::filesystem::path(folder)) {
    path /= part;
    struct stat info = {};
    if (stat(path.c_str(), &info) != 0) {
      return absl::FailedPreconditionError(std::format("cannot look at {}: {}", path.string(), strerror(errno)));
    }
    if (!S_ISDIR(info.st_mode)) return absl::FailedPreconditionError(std::format("{} is not a folder", path.string()));
    if (!MayEnter(account, info)) {
      return absl::FailedPreconditionError(
          std::format("user {}, as which PostgreSQL has to run here, may not enter {}; choose a folder elsewhere, or "
                      "run: chmod a+x '{}'",
                      account.name, path.string(), path.string()));
    }
  }
  return absl::OkStatus();
}

}  // namespace leasehold::localserver
