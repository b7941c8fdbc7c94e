#include "services/cli/stack/secrets.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/status/error.h"
#include "services/cli/stack/files.h"

namespace leasehold::stack {

absl::StatusOr<SecretFolder> SecretFolder::Open(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error || chmod(path.c_str(), 0700) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot make the folder ", path, ": ", error ? error.message() : strerror(errno)));
  }
  return SecretFolder(path);
}

absl::StatusOr<std::string> SecretFolder::Ensure(const std::string& name, const std::string& content) {
  std::string path = absl::StrCat(path_, "/", name);
  if (!std::filesystem::exists(path)) LH_RETURN_IF_ERROR(WriteFileAtomically(path, content, 0600));
  return path;
}

absl::StatusOr<std::string> SecretFolder::PasswordFile(const std::string& name) {
  return Ensure(name, absl::StrCat(RandomHex(32), "\n"));
}

absl::StatusOr<Secret> SecretFolder::Password(const std::string& name) {
  LH_ASSIGN_OR_RETURN(const std::string path, PasswordFile(name));
  return ReadSecretFile(path);
}

absl::StatusOr<std::string> SecretFolder::SigningKeysFile() {
  return Ensure("signing-keys", absl::StrCat("1 ", RandomHex(32), "\n"));
}

}  // namespace leasehold::stack
