// Spans as OTLP has them in JSON (opentelemetry-proto, ExportTraceServiceRequest): ids in hex, times as strings of
// nanoseconds. No I/O.
#pragma once

#include <span>
#include <string>

#include "common/telemetry/span.h"

namespace leasehold {

// Whose spans they are: the resource's service.name, service.instance.id and service.version.
struct SpanSource {
  std::string service{};
  std::string instance{};
  std::string version{};
};

// Always valid JSON, whatever names and attributes hold.
std::string OtlpJson(const SpanSource& source, std::span<const SpanRecord> spans);

}  // namespace leasehold
