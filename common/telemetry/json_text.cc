#include "common/telemetry/json_text.h"

#include <algorithm>
#include <format>
#include <iterator>

#include "common/status/utf8.h"

namespace leasehold {
namespace {

bool IsPlain(char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

}  // namespace

void AppendJson(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const auto plain = static_cast<size_t>(std::ranges::find_if_not(text, IsPlain) - text.begin());
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
  out += '"';
}

void AppendJsonMember(std::string& out, std::string_view name, std::string_view value) {
  if (!out.ends_with('{')) out += ',';
  AppendJson(out, name);
  out += ':';
  AppendJson(out, value);
}

}  // namespace leasehold
