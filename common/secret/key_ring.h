// Keys that are replaced while they are in use: handles, whose copies share what they stand for. Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/secret/secret.h"

namespace leasehold {

// The key that an instance's roles are given passwords by, and during a rotation another one that some of them may have
// theirs by: the next key or the former one.
class RoleKeys {
 public:
  RoleKeys(RoleKey current, std::optional<RoleKey> other = std::nullopt);  // NOLINT(google-explicit-constructor)

  // One or two lines of 64 hex digits, the current key first; empty lines and lines that start with '#' are skipped.
  // INVALID_FIELD names the line, not its content.
  static absl::StatusOr<RoleKeys> Parse(std::string_view text);
  static absl::StatusOr<RoleKeys> ReadFile(const std::string& path);

  RoleKey current() const;
  std::optional<RoleKey> other() const;

  // Of all copies.
  void Replace(const RoleKeys& with);

 private:
  struct Ring;
  std::shared_ptr<Ring> ring_;
};

// The keys that sign leases.
class LeaseKeys {
 public:
  LeaseKeys(SigningKeys keys);  // NOLINT(google-explicit-constructor)

  // As SigningKeys has them. They may be replaced between two calls.
  uint32_t current() const { return Now()->current(); }
  absl::StatusOr<Secret> PasswordOf(uint32_t key_id, std::string_view user_name) const {
    return Now()->PasswordOf(key_id, user_name);
  }

  // Of all copies.
  void Replace(SigningKeys with);

 private:
  struct Ring;
  std::shared_ptr<const SigningKeys> Now() const;
  std::shared_ptr<Ring> ring_;
};

}  // namespace leasehold
