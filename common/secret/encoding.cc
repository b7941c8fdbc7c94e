#include <array>
#include <cstdint>

#include "absl/status/status.h"
#include "common/secret/secret.h"

namespace leasehold {
namespace {

constexpr std::string_view kStandard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrl = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::string_view kHex = "0123456789abcdef";

// Character → value, -1 for what is not in the alphabet.
constexpr std::array<int8_t, 256> Inverse(std::string_view alphabet) {
  std::array<int8_t, 256> table{};
  table.fill(-1);
  for (size_t i = 0; i < alphabet.size(); ++i) table[static_cast<unsigned char>(alphabet[i])] = static_cast<int8_t>(i);
  return table;
}

constexpr std::array<int8_t, 256> kFromStandard = Inverse(kStandard);
constexpr std::array<int8_t, 256> kFromUrl = Inverse(kUrl);

std::string Encode64(std::string_view data, std::string_view alphabet) {
  std::string out((data.size() * 8 + 5) / 6, '\0');
  char* next = out.data();
  const auto byte = [&data](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(data[i])); };
  size_t i = 0;
  for (; i + 3 <= data.size(); i += 3) {
    const uint32_t bits = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    *next++ = alphabet[bits >> 18];
    *next++ = alphabet[bits >> 12 & 63];
    *next++ = alphabet[bits >> 6 & 63];
    *next++ = alphabet[bits & 63];
  }
  if (i == data.size()) return out;
  const bool two = i + 2 == data.size();
  const uint32_t bits = byte(i) << 16 | (two ? byte(i + 1) << 8 : 0);
  *next++ = alphabet[bits >> 18];
  *next++ = alphabet[bits >> 12 & 63];
  if (two) *next = alphabet[bits >> 6 & 63];
  return out;
}

// `text` without padding.
absl::StatusOr<std::string> Decode64(std::string_view text, const std::array<int8_t, 256>& values) {
  std::string out;
  out.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int8_t value = values[static_cast<unsigned char>(c)];
    if (value < 0) return absl::InvalidArgumentError("not base64: a character that is not in its alphabet");
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 255);
  }
  if (count == 6) return absl::InvalidArgumentError("not base64: a character too many");
  if ((bits & ((1u << count) - 1)) != 0) return absl::InvalidArgumentError("not base64: bits left over at the end");
  return out;
}

}  // namespace

std::string Base64Url(std::string_view data) { return Encode64(data, kUrl); }

absl::StatusOr<std::string> FromBase64Url(std::string_view text) { return Decode64(text, kFromUrl); }

std::string Base64(std::string_view data) {
  std::string out = Encode64(data, kStandard);
  out.append((4 - out.size() % 4) % 4, '=');
  return out;
}

absl::StatusOr<std::string> FromBase64(std::string_view text) {
  if (text.size() % 4 != 0) return absl::InvalidArgumentError("not base64: the length is not a multiple of 4");
  if (text.ends_with('=')) text.remove_suffix(1);
  if (text.size() % 4 == 3 && text.ends_with('=')) text.remove_suffix(1);
  return Decode64(text, kFromStandard);
}

std::string Hex(std::string_view data) {
  std::string out;
  out.reserve(data.size() * 2);
  for (const char c : data) {
    out += kHex[static_cast<unsigned char>(c) >> 4];
    out += kHex[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

absl::StatusOr<std::string> FromHex(std::string_view text) {
  const auto value = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  if (text.size() % 2 != 0) return absl::InvalidArgumentError("not hex: an odd number of digits");
  std::string out;
  out.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = value(text[i]);
    const int low = value(text[i + 1]);
    if (high < 0 || low < 0) return absl::InvalidArgumentError("not hex: a character that is no hex digit");
    out += static_cast<char>(high << 4 | low);
  }
  return out;
}

}  // namespace leasehold
