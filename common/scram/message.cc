#include "common/scram/message.h"

#include <algorithm>

namespace leasehold::scram {

std::optional<std::string_view> AttributeReader::Take(char name) {
  if (at_end_ || rest_.size() < 2 || rest_[0] != name || rest_[1] != '=') return std::nullopt;
  const size_t comma = rest_.find(',');
  const std::string_view value = rest_.substr(2, comma == std::string_view::npos ? comma : comma - 2);
  at_end_ = comma == std::string_view::npos;
  rest_ = at_end_ ? std::string_view() : rest_.substr(comma + 1);
  return value;
}

bool AttributeReader::SkipExtensions(char until) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  while (!at_end_) {
    if (rest_.empty() || !is_letter(rest_[0]) || rest_[0] == 'm') return false;
    if (rest_[0] == until) return true;
    const std::optional<std::string_view> value = Take(rest_[0]);
    if (!value || value->empty()) return false;
  }
  return true;
}

bool IsNonce(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= 0x21 && c <= 0x7e && c != ','; });
}

bool IsSaslName(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ',' || text[i] == '\0') return false;
    if (text[i] == '=' && text.substr(i, 3) != "=2C" && text.substr(i, 3) != "=3D") return false;
  }
  return true;
}

std::string SaslName(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == ',') {
      out += "=2C";
    } else if (c == '=') {
      out += "=3D";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace leasehold::scram
