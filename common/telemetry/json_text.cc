#include "common/telemetry/json_text.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <format>
#include <iterator>

#include "common/status/utf8.h"

namespace leasehold {
namespace {

// What stands for itself.
bool IsPlain(char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

// The same of eight bytes at once: the top bit of some byte is set where one of them is not.
bool ArePlain(uint64_t bytes) {
  constexpr uint64_t kEach = 0x0101010101010101;
  const auto below = [bytes](uint64_t least) { return (bytes - kEach * least) & ~bytes; };
  const auto is = [bytes](uint64_t c) { return ((bytes ^ kEach * c) - kEach) & ~(bytes ^ kEach * c); };
  return ((bytes | below(0x20) | is('"') | is('\\') | is(0x7f)) & kEach * 0x80) == 0;
}

size_t PlainPrefix(std::string_view text) {
  size_t size = 0;
  for (uint64_t bytes = 0; size + sizeof bytes <= text.size(); size += sizeof bytes) {
    std::memcpy(&bytes, text.data() + size, sizeof bytes);
    if (!ArePlain(bytes)) break;
  }
  while (size < text.size() && IsPlain(text[size])) ++size;
  return size;
}

}  // namespace

void AppendJsonText(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const size_t plain = PlainPrefix(text);
    out += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    const Utf8Character c = DecodeUtf8(text);
    if (c.bytes == 0) {
      out += "\\ufffd";
      text.remove_prefix(1);
      continue;
    }
    if (c.code_point == '"' || c.code_point == '\\') {
      out += '\\';
      out += text.front();
    } else if (IsControl(c.code_point)) {
      std::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c.code_point));
    } else {
      out += text.substr(0, c.bytes);
    }
    text.remove_prefix(c.bytes);
  }
}

void AppendJson(std::string& out, std::string_view text) {
  out += '"';
  AppendJsonText(out, text);
  out += '"';
}

void AppendJsonMember(std::string& out, std::string_view name, std::string_view value) {
  if (!out.ends_with('{')) out += ',';
  AppendJson(out, name);
  out += ':';
  AppendJson(out, value);
}

}  // namespace leasehold
