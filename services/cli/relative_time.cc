#include "services/cli/relative_time.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "common/config/config.h"

namespace leasehold::cli {

std::string ShortDuration(absl::Duration d) {
  if (d < absl::Seconds(1)) {
    const int64_t ms = absl::ToInt64Milliseconds(d);
    return ms <= 0 ? "0s" : absl::StrCat(ms, "ms");
  }
  const int64_t s = absl::ToInt64Seconds(d);
  auto two = [](int64_t large, const char* unit, int64_t small, const char* sub) {
    return small == 0 ? absl::StrCat(large, unit) : absl::StrCat(large, unit, " ", small, sub);
  };
  if (s < 60) return absl::StrCat(s, "s");
  if (s < 3600) return two(s / 60, "m", s % 60, "s");
  if (s < 86400) return two(s / 3600, "h", s % 3600 / 60, "m");
  return two(s / 86400, "d", s % 86400 / 3600, "h");
}

std::string Relative(const google::protobuf::Timestamp& time, absl::Time now) {
  if (time.seconds() == 0 && time.nanos() == 0) return "";
  const absl::Duration ahead = ToTime(time) - now;
  if (absl::AbsDuration(ahead) < absl::Seconds(1)) return "now";
  // What begins now and lasts 7 days ends "in 7d", although some milliseconds have passed.
  return ahead > absl::ZeroDuration() ? absl::StrCat("in ", ShortDuration(absl::Ceil(ahead, absl::Seconds(1))))
                                      : absl::StrCat(ShortDuration(-ahead), " ago");
}

}  // namespace leasehold::cli
