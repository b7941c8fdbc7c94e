#include <algorithm>
#include <format>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "common/config/config.h"
#include "common/status/error.h"
#include "common/status/view.h"

namespace leasehold {

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
  absl::Duration duration;
  if (!absl::ParseDuration(std::string(text), &duration) || duration < absl::ZeroDuration() ||
      duration == absl::InfiniteDuration()) {
    return InvalidField(field, text, "a time such as 30s, 15m, 1h30m or 250ms");
  }
  return duration;
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

}  // namespace leasehold
