// Keys and passwords: zeroed when dropped, never printed, compared in constant time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace leasehold {

// Holds secret bytes. Moving clears the source. There is no operator<< and no implicit conversion on purpose.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value);
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret other) noexcept;
  ~Secret();

  std::string_view reveal() const { return value_; }  // name the moment of disclosure
  // For libraries of C, while this lives; nullptr if there is a NUL byte in it, as they would take what stands before
  // it for the whole.
  const char* reveal_c_str() const { return value_.contains('\0') ? nullptr : value_.c_str(); }
  bool empty() const { return value_.empty(); }

 private:
  std::string value_;
};

// True if equal; takes the same time wherever they differ.
bool EqualSecrets(std::string_view a, std::string_view b);

// A file with one secret: one trailing newline dropped, 1 byte to 64 KiB left. FAILED_PRECONDITION names the file, not
// its content.
absl::StatusOr<Secret> ReadSecretFile(const std::string& path);

std::array<uint8_t, 32> HmacSha256(std::string_view key, std::string_view message);
std::array<uint8_t, 32> Sha256(std::string_view data);
void RandomBytes(std::span<uint8_t> out);  // from the kernel's CSPRNG; aborts if it fails
std::string RandomHex(size_t bytes);

// Encodings. Decoders take exactly what the encoder makes (one text for each value: no white space, no stray bits,
// padding as the encoder does it) and name neither the text nor a part of it in their errors; FromHex takes upper case
// too.
std::string Base64Url(std::string_view data);  // without padding
absl::StatusOr<std::string> FromBase64Url(std::string_view text);
std::string Base64(std::string_view data);  // with padding, as SCRAM wants it
absl::StatusOr<std::string> FromBase64(std::string_view text);
std::string Hex(std::string_view data);  // lower case
absl::StatusOr<std::string> FromHex(std::string_view text);

// Passwords of an instance's roles: 256 bits out of the instance's key and something that never changes.
// HMAC-SHA256(key, "leasehold role v1\0" + database_id + "\0" + role kind), base64url: 43 characters.
enum class RoleKind { kOwner, kReadOnly };
class RoleKey {
 public:
  // The database id of a service's central database; a tenant database's are 16 hex digits.
  static constexpr std::string_view kCentralId = "central";

  // 64 hex digits, with or without a trailing newline. INVALID_FIELD without the value otherwise.
  static absl::StatusOr<RoleKey> Parse(std::string_view text);
  static absl::StatusOr<RoleKey> ReadFile(const std::string& path);
  Secret PasswordOf(std::string_view database_id, RoleKind kind) const;
  // Tells keys apart, and can be told to anybody: 8 hex digits.
  std::string Fingerprint() const;

 private:
  explicit RoleKey(Secret key) : key_(std::move(key)) {}
  Secret key_;
};

// Keys that sign leases: a file of lines "<key id> <64 hex digits>"; the first signs, all verify. Ids are 32-bit
// numbers, each used once. Empty lines and lines that start with '#' are skipped.
class SigningKeys {
 public:
  // INVALID_FIELD names the line at fault, not its content.
  static absl::StatusOr<SigningKeys> Parse(std::string_view text);
  static absl::StatusOr<SigningKeys> ReadFile(const std::string& path);
  uint32_t current() const { return current_; }
  // The password that belongs to `user_name`: base64url(HMAC-SHA256(key, "leasehold lease v1\0" + user_name)), 43
  // characters. BAD_CREDENTIALS if there is no such key.
  absl::StatusOr<Secret> PasswordOf(uint32_t key_id, std::string_view user_name) const;

 private:
  SigningKeys() = default;
  uint32_t current_ = 0;
  std::map<uint32_t, Secret> keys_;
};

}  // namespace leasehold
