// What one line of the log looks like. No I/O.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "common/telemetry/log.h"

namespace leasehold {

struct LogEvent {
  absl::Time time;
  Level level = Level::kInfo;
  std::string_view component;
  std::string_view message;
  std::span<const LogField> fields;
};

// {"time":"2026-01-01T00:00:00.123Z","level":"info","component":"gateway","message":"tenant
// ready","fields":{"tenant":"acme"}} and a newline. Always valid JSON: bytes that are not UTF-8 become U+FFFD. `fields`
// is left out when there are none.
std::string JsonLine(const LogEvent& event);

// 2026-01-01 00:00:00.123Z  info     gateway  tenant ready  tenant=acme ms=12
// Values with blanks, quotes or nothing in them are quoted.
std::string TextLine(const LogEvent& event, bool colours);

}  // namespace leasehold
