#include "common/telemetry/log_line.h"

#include <format>
#include <limits>

#include "common/status/error.h"
#include "common/telemetry/json_text.h"

namespace leasehold {
namespace {

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
  AppendJsonMember(line, "time", absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", event.time, absl::UTCTimeZone()));
  AppendJsonMember(line, "level", NameOf(event.level));
  AppendJsonMember(line, "component", event.component);
  AppendJsonMember(line, "message", event.message);
  if (!event.trace_id.empty()) AppendJsonMember(line, "trace_id", event.trace_id);
  if (!event.fields.empty()) {
    line += ",\"fields\":{";
    for (const auto& [name, value] : event.fields) AppendJsonMember(line, name, value);
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
  const auto add = [&](std::string_view name, std::string_view value) {
    line += std::format("{}{}{}={}{}", gap, dim, ForPeople(name), off, Quoted(value));
    gap = " ";
  };
  for (const auto& [name, value] : event.fields) add(name, value);
  if (!event.trace_id.empty()) add("trace_id", event.trace_id);
  line += '\n';
  return line;
}

}  // namespace leasehold
