#include "common/jetstream/subject.h"

#include <algorithm>
#include <ranges>

#include "absl/strings/ascii.h"
#include "common/status/error.h"

namespace leasehold::jetstream {

absl::Status CheckSubject(std::string_view subject) {
  bool good = !subject.empty() && subject.size() <= 512;
  for (const auto token : std::views::split(subject, '.')) {
    good = good && !token.empty() && std::ranges::all_of(token, [](char c) {
             return static_cast<unsigned char>(c) > ' ' && c != '\x7f' && c != '*' && c != '>';
           });
  }
  if (good) return absl::OkStatus();
  return InvalidField("subject", subject, "tokens between dots, without blanks and wildcards, at most 512 bytes");
}

absl::Status CheckHeaders(const Headers& headers) {
  for (const auto& [name, value] : headers) {
    if (name.empty() || !std::ranges::all_of(name, [](char c) { return absl::ascii_isgraph(c) && c != ':'; })) {
      return InvalidField("header", name, "printable ASCII without blanks and colons");
    }
    if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
      return InvalidField(name, value, "one line of text");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckName(std::string_view field, std::string_view name) {
  if (!name.empty() && name.size() <= 64 &&
      std::ranges::all_of(name, [](char c) { return absl::ascii_isalnum(c) || c == '-' || c == '_'; })) {
    return absl::OkStatus();
  }
  return InvalidField(field, name, "[A-Za-z0-9_-]{1,64}");
}

absl::Status CheckKey(std::string_view key) {
  if (!key.empty() && key.size() <= 256 && !key.starts_with('.') && !key.ends_with('.') && !key.contains("..") &&
      std::ranges::all_of(key,
                          [](char c) { return absl::ascii_isalnum(c) || std::string_view("-_.=/").contains(c); })) {
    return absl::OkStatus();
  }
  return InvalidField("key", key, "[A-Za-z0-9_.=/-]{1,256}, no dot at an end, no two dots in a row");
}

}  // namespace leasehold::jetstream
