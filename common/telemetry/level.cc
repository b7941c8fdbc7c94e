#include "common/telemetry/level.h"

#include <format>

#include "common/status/error.h"

namespace leasehold {

v1::LogLevel ToProto(Level level) {
  switch (level) {
    case Level::kDebug:
      return v1::LOG_LEVEL_DEBUG;
    case Level::kInfo:
      return v1::LOG_LEVEL_INFO;
    case Level::kWarning:
      return v1::LOG_LEVEL_WARNING;
    case Level::kError:
      return v1::LOG_LEVEL_ERROR;
  }
  return v1::LOG_LEVEL_UNSPECIFIED;
}

absl::StatusOr<Level> LevelOf(v1::LogLevel level) {
  for (const Level known : {Level::kDebug, Level::kInfo, Level::kWarning, Level::kError}) {
    if (ToProto(known) == level) return known;
  }
  return InvalidField("level", std::format("{}", static_cast<int>(level)), "debug, info, warning, error");
}

}  // namespace leasehold
