#include <algorithm>
#include <format>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "common/config/config.h"
#include "common/status/error.h"
#include "common/status/view.h"

namespace leasehold {
namespace {

// What absl::ParseDuration reads, without a sign, and also days and blanks between the units: what ShortDuration() of
// the command line prints can be typed again.
std::optional<absl::Duration> ParseUnits(std::string_view text) {
  if (text == "0") return absl::ZeroDuration();
  absl::Duration sum;
  do {
    const size_t number_end = std::min(text.find_first_not_of("0123456789."), text.size());
    const std::string_view number = text.substr(0, number_end);
    const size_t unit_end = std::min(text.find_first_of("0123456789. ", number_end), text.size());
    const std::string_view unit = text.substr(number_end, unit_end - number_end);
    if (!std::ranges::any_of(number, absl::ascii_isdigit) || unit.empty()) return std::nullopt;
    absl::Duration part;
    const bool days = unit == "d";
    if (!absl::ParseDuration(std::format("{}{}", number, days ? "h" : unit), &part)) return std::nullopt;
    sum += days ? 24 * part : part;
    text.remove_prefix(unit_end);
    if (text.size() > 1 && text.front() == ' ') text.remove_prefix(1);
  } while (!text.empty());
  return sum;
}

}  // namespace

absl::Duration ToDuration(const google::protobuf::Duration& d) {
  return absl::Seconds(d.seconds()) + absl::Nanoseconds(d.nanos());
}

google::protobuf::Duration FromDuration(absl::Duration d) {
  google::protobuf::Duration out;
  out.set_seconds(absl::IDivDuration(d, absl::Seconds(1), &d));
  out.set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(d)));  // of the same sign as the seconds, as protobuf asks
  return out;
}

absl::Time ToTime(const google::protobuf::Timestamp& t) {
  return absl::FromUnixSeconds(t.seconds()) + absl::Nanoseconds(t.nanos());
}

google::protobuf::Timestamp FromTime(absl::Time t) {
  google::protobuf::Timestamp out;
  out.set_seconds(absl::ToUnixSeconds(t));  // rounds down, so that the rest is never negative
  out.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(t - absl::FromUnixSeconds(out.seconds()))));
  return out;
}

absl::StatusOr<absl::Duration> ParseDurationField(std::string_view field, std::string_view text) {
  const std::optional<absl::Duration> duration = ParseUnits(text);
  if (!duration || *duration == absl::InfiniteDuration()) {
    return InvalidField(field, text, "a time such as 30s, 15m, 1h30m, 7d or 250ms");
  }
  return *duration;
}

absl::StatusOr<HostPort> ParseHostPort(std::string_view field, std::string_view text) {
  static constexpr std::string_view kAllowed = "host:port such as 127.0.0.1:7450 or [::1]:7450, port 1 to 65535";
  const auto is_ipv6 = [](unsigned char c) { return absl::ascii_isxdigit(c) || c == ':' || c == '.'; };
  const auto is_name = [](unsigned char c) { return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_'; };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return InvalidField(field, text, kAllowed);
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const bool host_ok = !host.empty() && host.size() <= 253 &&
                       (bracketed ? std::ranges::all_of(host, is_ipv6) : std::ranges::all_of(host, is_name));
  HostPort parsed{.host = std::string(host)};
  const bool port_ok = std::ranges::all_of(port, absl::ascii_isdigit) &&
                       absl::SimpleAtoi(AbslView(port), &parsed.port) && parsed.port >= 1 && parsed.port <= 65535;
  if (!host_ok || !port_ok) return InvalidField(field, text, kAllowed);
  return parsed;
}

absl::StatusOr<HttpUrl> ParseHttpUrl(std::string_view field, std::string_view text) {
  static constexpr std::string_view kAllowed = "http://host:port or https://host:port, with a path if need be";
  std::string_view rest = text;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!rest.starts_with(scheme)) continue;
    rest.remove_prefix(scheme.size());
    const std::string_view authority = rest.substr(0, rest.find('/'));
    std::string_view path = rest.substr(authority.size());
    while (path.ends_with('/')) path.remove_suffix(1);
    const bool plain = std::ranges::all_of(
        path, [](unsigned char c) { return absl::ascii_isgraph(c) && c != '?' && c != '#' && c != '"'; });
    if (!plain || path.size() > 1024 || !ParseHostPort(field, authority).ok()) break;
    return HttpUrl{.origin = std::string(scheme) + std::string(authority), .path = std::string(path)};
  }
  return InvalidField(field, text, kAllowed);
}

}  // namespace leasehold
