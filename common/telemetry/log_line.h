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
  std::string_view trace_id;  // empty: none
  std::span<const LogField> fields;
};

// {"time":"2026-01-01T00:00:00.123Z","level":"info","component":"gateway","message":"tenant
// ready","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","fields":{"tenant":"acme"}} and a newline. Always valid JSON:
// bytes that are not UTF-8 become U+FFFD. `trace_id` and `fields` are left out when there are none.
std::string JsonLine(const LogEvent& event);

// 2026-01-01 00:00:00.123Z  info     gateway  tenant ready  tenant=acme ms=12
// Values with blanks, quotes or nothing in them are quoted. The trace id stands last, as a field `trace_id`.
std::string TextLine(const LogEvent& event, bool colours);

}  // namespace leasehold
