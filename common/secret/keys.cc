#include <algorithm>
#include <charconv>
#include <format>
#include <optional>
#include <ranges>
#include <utility>

#include "absl/status/status.h"
#include "common/secret/secret.h"
#include "common/status/error.h"

namespace leasehold {
namespace {

constexpr size_t kKeyBytes = 32;
constexpr std::string_view kBlank = " \t\r";

std::optional<Secret> ParseKey(std::string_view hex) {
  absl::StatusOr<std::string> bytes = FromHex(hex);
  if (!bytes.ok() || bytes->size() != kKeyBytes) return std::nullopt;
  return Secret(*std::move(bytes));
}

std::optional<uint32_t> ParseKeyId(std::string_view digits) {
  uint32_t id = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return id;
}

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

Secret DerivePassword(const Secret& key, std::string_view message) {
  const std::array<uint8_t, 32> mac = HmacSha256(key.reveal(), message);
  return Secret(Base64Url({reinterpret_cast<const char*>(mac.data()), mac.size()}));
}

absl::Status Malformed(std::string_view field, std::string_view message) {
  return WithField(Error(v1::REASON_INVALID_FIELD, message), field);
}

// `parse`: of the file's text. Its errors get the file's name in front.
template <typename Key>
absl::StatusOr<Key> ParseFile(const std::string& path, absl::StatusOr<Key> (*parse)(std::string_view)) {
  LH_ASSIGN_OR_RETURN(const Secret text, ReadSecretFile(path));
  absl::StatusOr<Key> key = parse(text.reveal());
  if (!key.ok()) return absl::FailedPreconditionError(std::format("'{}': {}", path, key.status().message()));
  return key;
}

}  // namespace

absl::StatusOr<RoleKey> RoleKey::Parse(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  std::optional<Secret> key = ParseKey(text);
  if (!key) {
    return Malformed(
        "role_key",
        std::format("a role key is 64 hex digits; this one has {} characters, or some that are no hex digits",
                    text.size()));
  }
  return RoleKey(*std::move(key));
}

absl::StatusOr<RoleKey> RoleKey::ReadFile(const std::string& path) { return ParseFile<RoleKey>(path, &RoleKey::Parse); }

Secret RoleKey::PasswordOf(std::string_view database_id, RoleKind kind) const {
  const std::string_view kind_name = kind == RoleKind::kOwner ? "owner" : "read-only";
  return DerivePassword(key_, std::format("leasehold role v1{0}{1}{0}{2}", '\0', database_id, kind_name));
}

std::string RoleKey::Fingerprint() const {
  const auto digest = Sha256(PasswordOf("fingerprint", RoleKind::kOwner).reveal());
  return Hex(std::string_view(reinterpret_cast<const char*>(digest.data()), 4));
}

absl::StatusOr<SigningKeys> SigningKeys::Parse(std::string_view text) {
  SigningKeys keys;
  int number = 0;
  for (const auto part : std::views::split(text, '\n')) {
    ++number;
    const std::string_view line = Trim(std::string_view(part));
    if (line.empty() || line.starts_with('#')) continue;
    const size_t space = std::min(line.find_first_of(kBlank), line.size());
    const std::optional<uint32_t> id = ParseKeyId(line.substr(0, space));
    std::optional<Secret> key = ParseKey(Trim(line.substr(space)));
    if (!id || !key) {
      return Malformed("signing_keys", std::format("line {} is not '<key id> <64 hex digits>'", number));
    }
    if (keys.keys_.empty()) keys.current_ = *id;
    if (!keys.keys_.emplace(*id, *std::move(key)).second) {
      return Malformed("signing_keys", std::format("line {} repeats key id {}", number, *id));
    }
  }
  if (keys.keys_.empty()) {
    return Malformed("signing_keys", "there is no key; at least one line '<key id> <64 hex digits>' is needed");
  }
  return keys;
}

absl::StatusOr<SigningKeys> SigningKeys::ReadFile(const std::string& path) {
  return ParseFile<SigningKeys>(path, &SigningKeys::Parse);
}

absl::StatusOr<Secret> SigningKeys::PasswordOf(uint32_t key_id, std::string_view user_name) const {
  const auto key = keys_.find(key_id);
  if (key == keys_.end()) return Error(v1::REASON_BAD_CREDENTIALS, "password authentication failed");
  constexpr std::string_view kPurpose{"leasehold lease v1\0", 19};
  std::string message;
  message.reserve(kPurpose.size() + user_name.size());
  message.append(kPurpose).append(user_name);
  return DerivePassword(key->second, message);
}

}  // namespace leasehold
