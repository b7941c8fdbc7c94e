#include "common/telemetry/log_line.h"

#include <format>
#include <iterator>
#include <limits>

#include "common/status/error.h"
#include "common/status/utf8.h"

namespace leasehold {
namespace {

std::string_view NameOf(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarning:
      return "warning";
    case Level::kError:
      return "error";
  }
  return "error";
}

std::string_view ColourOf(Level level) {
  switch (level) {
    case Level::kDebug:
      return "\x1b[2m";
    case Level::kInfo:
      return "\x1b[32m";
    case Level::kWarning:
      return "\x1b[33m";
    case Level::kError:
      return "\x1b[1;31m";
  }
  return "";
}

void AppendJson(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
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

void AppendMember(std::string& out, std::string_view name, std::string_view value) {
  if (!out.ends_with('{')) out += ',';
  AppendJson(out, name);
  out += ':';
  AppendJson(out, value);
}

std::string ForPeople(std::string_view text) { return Printable(text, std::numeric_limits<size_t>::max()); }

std::string Quoted(std::string_view value) {
  if (!value.empty() && value.find_first_of(" \"=") == std::string_view::npos) return ForPeople(value);
  std::string out = "\"";
  for (const char c : ForPeople(value)) {
    if (c == '"') out += '\\';
    out += c;
  }
  return out + '"';
}

}  // namespace

std::string JsonLine(const LogEvent& event) {
  std::string line = "{";
  AppendMember(line, "time", absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", event.time, absl::UTCTimeZone()));
  AppendMember(line, "level", NameOf(event.level));
  AppendMember(line, "component", event.component);
  AppendMember(line, "message", event.message);
  if (!event.fields.empty()) {
    line += ",\"fields\":{";
    for (const auto& [name, value] : event.fields) AppendMember(line, name, value);
    line += '}';
  }
  line += "}\n";
  return line;
}

std::string TextLine(const LogEvent& event, bool colours) {
  const std::string_view on = colours ? ColourOf(event.level) : "";
  const std::string_view dim = colours ? "\x1b[2m" : "";
  const std::string_view off = colours ? "\x1b[0m" : "";
  std::string line = std::format("{}{}{}  {}{:<7}{}  {}  {}", dim,
                                 absl::FormatTime("%Y-%m-%d %H:%M:%E3SZ", event.time, absl::UTCTimeZone()), off, on,
                                 NameOf(event.level), off, ForPeople(event.component), ForPeople(event.message));
  std::string_view gap = "  ";
  for (const auto& [name, value] : event.fields) {
    line += std::format("{}{}{}={}{}", gap, dim, ForPeople(name), off, Quoted(value));
    gap = " ";
  }
  line += '\n';
  return line;
}

}  // namespace leasehold
