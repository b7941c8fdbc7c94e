#include "services/gateway/registry/settings.h"

#include <algorithm>
#include <format>
#include <string_view>

#include "absl/strings/ascii.h"
#include "common/status/error.h"
#include "common/status/utf8.h"

namespace leasehold::gateway {
namespace {

bool IsKey(std::string_view key) {
  return !key.empty() && key.size() <= kMaxSettingKeyBytes && std::ranges::all_of(key, [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-';
  });
}

// PostgreSQL's jsonb takes neither malformed UTF-8 nor NUL.
bool IsStorable(std::string_view value) {
  while (!value.empty()) {
    const Utf8Character character = DecodeUtf8(value);
    if (character.bytes == 0 || character.code_point == 0) return false;
    value.remove_prefix(character.bytes);
  }
  return true;
}

}  // namespace

absl::Status CheckSettings(const Settings& settings) {
  if (settings.size() > kMaxSettings) {
    return InvalidField("settings", std::format("{} entries", settings.size()),
                        std::format("at most {} entries", kMaxSettings));
  }
  size_t total = 0;
  for (const auto& [key, value] : settings) {
    if (!IsKey(key)) return InvalidField("settings", key, "keys of 1 to 64 letters, digits, _ . and -");
    const std::string field = std::format("settings[{}]", key);
    if (value.size() > kMaxSettingValueBytes) {
      return InvalidField(field, std::format("{} bytes", value.size()), "at most 4096 bytes");
    }
    if (!IsStorable(value)) return InvalidField(field, "not such text", "UTF-8 text without NUL");
    total += key.size() + value.size();
  }
  if (total > kMaxSettingsBytes) {
    return InvalidField("settings", std::format("{} bytes", total), "at most 32768 bytes of keys and values in all");
  }
  return absl::OkStatus();
}

}  // namespace leasehold::gateway
