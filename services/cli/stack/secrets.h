// The secrets of a local stack: made at its first start, kept for the next.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/config/config.h"
#include "common/secret/secret.h"

namespace leasehold::stack {

// Files in one folder that only its owner may enter. One thread.
class SecretFolder {
 public:
  static absl::StatusOr<SecretFolder> Open(const std::string& path);

  // 64 random hex digits; the same at each call with the same name.
  absl::StatusOr<Secret> Password(const std::string& name);
  // The path of such a file, made if it is not there.
  absl::StatusOr<std::string> PasswordFile(const std::string& name);
  // A file of one key in the form of SigningKeys.
  absl::StatusOr<std::string> SigningKeysFile();

 private:
  explicit SecretFolder(std::string path) : path_(std::move(path)) {}
  absl::StatusOr<std::string> Ensure(const std::string& name, const std::string& content);

  std::string path_;
};

}  // namespace leasehold::stack
