#include "common/events/envelope.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <charconv>
#include <format>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "common/events/refusal.h"
#include "common/status/error.h"

namespace leasehold::events {
namespace {

using google::protobuf::util::TimeUtil;

constexpr size_t kMaxAttributeBytes = 512;
constexpr std::string_view kHeaderPrefix = "ce-";

// NATS keeps the case of header names; CloudEvents does not care for it.
std::optional<std::string_view> Find(const jetstream::Headers& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (absl::EqualsIgnoreCase(key, AbslView(name))) return value;
  }
  return std::nullopt;
}

// "application/json; charset=utf-8" is application/json.
bool IsMediaType(std::string_view text, std::string_view expected) {
  const absl::string_view media = absl::StripAsciiWhitespace(AbslView(text.substr(0, text.find(';'))));
  return absl::EqualsIgnoreCase(media, AbslView(expected));
}

bool IsPlain(char c) { return c > ' ' && c < '\x7f' && c != '%' && c != '"'; }

std::string PercentEncode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (IsPlain(c)) {
      out += c;
    } else {
      out += std::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

// What is no escape stands for itself, as the binding asks for.
std::string PercentDecode(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    unsigned char byte = 0;
    if (text.size() >= 3 && text.front() == '%' &&
        std::from_chars(text.data() + 1, text.data() + 3, byte, 16).ptr == text.data() + 3) {
      out += static_cast<char>(byte);
      text.remove_prefix(3);
    } else {
      out += text.front();
      text.remove_prefix(1);
    }
  }
  return out;
}

}  // namespace

absl::StatusOr<Mode> ModeOf(const jetstream::Headers& headers) {
  const bool has_attributes = Find(headers, "ce-specversion").has_value();
  const std::optional<std::string_view> content_type = Find(headers, "content-type");
  if (!content_type && !has_attributes) return Mode::kStructured;
  const std::string_view whole = content_type.value_or("");
  if (IsMediaType(whole, kStructuredJson)) return Mode::kStructured;
  if (IsMediaType(whole, kProtobuf)) return Mode::kBinary;
  return Malformed("content-type", whole, std::format("{} or {}", kStructuredJson, kProtobuf));
}

Attributes AttributesOf(const jetstream::Headers& headers) {
  Attributes attributes{.prefix = kHeaderPrefix, .values = {}};
  for (const std::string_view name : kAttributes) {
    if (name == "datacontenttype") continue;  // in binary mode content-type says it
    const auto value = Find(headers, std::format("{}{}", kHeaderPrefix, name));
    if (value) attributes.values[name] = PercentDecode(*value);
  }
  return attributes;
}

absl::StatusOr<v1::EventEnvelope> ReadEnvelope(const Attributes& attributes) {
  const auto field = [&](std::string_view name) { return std::format("{}{}", attributes.prefix, name); };
  const auto find = [&](std::string_view name) -> const std::string* {
    const auto it = attributes.values.find(name);
    return it == attributes.values.end() ? nullptr : &it->second;
  };

  const std::string* version = find("specversion");
  if (version == nullptr) return Missing(field("specversion"), "1.0");
  if (*version != "1.0") return Malformed(field("specversion"), *version, "1.0");
  for (const std::string_view name : {"id", "source", "type"}) {
    const std::string* value = find(name);
    if (value == nullptr) return Missing(field(name), "a non-empty string");
    LH_RETURN_IF_ERROR(CheckLine(field(name), *value, kMaxAttributeBytes));
  }

  v1::EventEnvelope envelope;
  envelope.set_id(*find("id"));
  envelope.set_source(*find("source"));
  envelope.set_type(*find("type"));
  if (const std::string* subject = find("subject")) {
    LH_RETURN_IF_ERROR(CheckLine(field("subject"), *subject, kMaxAttributeBytes));
    envelope.set_subject(*subject);
  }
  if (const std::string* time = find("time")) {
    if (time->size() > 64 || !TimeUtil::FromString(*time, envelope.mutable_time())) {
      return Malformed(field("time"), *time, "an RFC 3339 time, e.g. 2026-01-01T00:00:00Z");
    }
  }
  if (const std::string* type = find("datacontenttype"); type != nullptr && !IsMediaType(*type, "application/json")) {
    return Malformed(field("datacontenttype"), *type, "application/json");
  }
  // A trace that cannot be continued is dropped, as its specification asks for.
  if (const std::string* parent = find(kTraceparent))
    envelope.set_traceparent(ToTraceparent(ParseTraceparent(*parent)));
  return envelope;
}

jetstream::Headers BinaryHeaders(const v1::EventEnvelope& envelope) {
  jetstream::Headers headers = {
      {"content-type", std::string(kProtobuf)},    {"ce-specversion", "1.0"},
      {"ce-id", PercentEncode(envelope.id())},     {"ce-source", PercentEncode(envelope.source())},
      {"ce-type", PercentEncode(envelope.type())},
  };
  if (!envelope.subject().empty()) headers["ce-subject"] = PercentEncode(envelope.subject());
  if (envelope.has_time()) headers["ce-time"] = TimeUtil::ToString(envelope.time());
  if (!envelope.traceparent().empty()) {
    headers["ce-traceparent"] = headers[std::string(kTraceparent)] = envelope.traceparent();
  }
  return headers;
}

absl::Status CheckAgreement(const v1::EventEnvelope& envelope, std::string_view type, std::string_view subject) {
  if (envelope.type() != type) return Malformed("type", envelope.type(), std::format("{}, as the subject says", type));
  if (!envelope.subject().empty() && envelope.subject() != subject) {
    return Malformed("subject", envelope.subject(), std::format("{}, as the NATS subject says", subject));
  }
  return absl::OkStatus();
}

}  // namespace leasehold::events
