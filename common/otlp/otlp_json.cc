#include "common/otlp/otlp_json.h"

#include <format>
#include <iterator>
#include <string_view>

#include "common/telemetry/json_text.h"

namespace leasehold {
namespace {

constexpr int kStatusError = 2;

void AppendAttribute(std::string& out, std::string_view key, std::string_view value) {
  if (!out.ends_with('[')) out += ',';
  out += '{';
  AppendJsonMember(out, "key", key);
  out += ",\"value\":{";
  AppendJsonMember(out, "stringValue", value);
  out += "}}";
}

void AppendSpan(std::string& out, const SpanRecord& span) {
  if (!out.ends_with('[')) out += ',';
  out += '{';
  AppendJsonMember(out, "traceId", TraceId(span.trace));
  AppendJsonMember(out, "spanId", std::format("{:016x}", span.trace.span));
  if (span.parent != 0) AppendJsonMember(out, "parentSpanId", std::format("{:016x}", span.parent));
  AppendJsonMember(out, "name", span.name);
  std::format_to(std::back_inserter(out), ",\"kind\":{}", static_cast<int>(span.kind));
  AppendJsonMember(out, "startTimeUnixNano", std::format("{}", absl::ToUnixNanos(span.start)));
  AppendJsonMember(out, "endTimeUnixNano", std::format("{}", absl::ToUnixNanos(span.end)));
  if (!span.attributes.empty()) {
    out += ",\"attributes\":[";
    for (const auto& [key, value] : span.attributes) AppendAttribute(out, key, value);
    out += ']';
  }
  if (span.failed) {
    out += ",\"status\":{";
    AppendJsonMember(out, "message", span.error);
    std::format_to(std::back_inserter(out), ",\"code\":{}}}", kStatusError);
  }
  out += '}';
}

}  // namespace

std::string OtlpJson(const SpanSource& source, std::span<const SpanRecord> spans) {
  std::string out = R"({"resourceSpans":[{"resource":{"attributes":[)";
  AppendAttribute(out, "service.name", source.service);
  AppendAttribute(out, "service.instance.id", source.instance);
  AppendAttribute(out, "service.version", source.version);
  out += R"(]},"scopeSpans":[{"scope":{"name":"leasehold"},"spans":[)";
  for (const SpanRecord& span : spans) AppendSpan(out, span);
  return out + "]}]}]}";
}

}  // namespace leasehold
