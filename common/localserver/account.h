// Users of this machine, looked up before fork().
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace leasehold::localserver {

struct Account {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};

// FAILED_PRECONDITION if there is no such user.
absl::StatusOr<Account> FindAccount(const std::string& name);

// FAILED_PRECONDITION with the remedy if `account` may not enter `folder` (absolute) or a folder above it.
absl::Status CheckReachable(const Account& account, const std::string& folder);

}  // namespace leasehold::localserver
