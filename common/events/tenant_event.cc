#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <array>
#include <format>
#include <ranges>
#include <vector>

#include "absl/strings/ascii.h"
#include "common/events/envelope.h"
#include "common/events/events.h"
#include "common/events/refusal.h"
#include "common/events/structured.h"
#include "common/identity/identity.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "common/status/utf8.h"

namespace leasehold::events {
namespace {

constexpr std::array<std::string_view, 5> kVerbs = {"created", "updated", "suspended", "resumed", "deleted"};
constexpr size_t kMaxSettings = 64;
constexpr size_t kMaxKeyBytes = 64;
constexpr size_t kMaxValueBytes = 4096;

std::string TypeOf(std::string_view what) { return std::format("{}{}.v1", kTypePrefix, what); }

struct Subject {
  std::string id;
  std::string what;
};

absl::StatusOr<Subject> ParseSubject(std::string_view subject) {
  constexpr std::string_view kAllowed = "tenants.<id>.created|updated|suspended|resumed|deleted";
  std::vector<std::string_view> tokens;
  for (const auto token : std::views::split(subject, '.')) tokens.emplace_back(token.begin(), token.end());
  if (tokens.size() != 3 || tokens[0] != "tenants" || !std::ranges::contains(kVerbs, tokens[2])) {
    return Malformed("subject", subject, kAllowed);
  }
  LH_RETURN_IF_ERROR(AsMalformed(TenantId::Parse(tokens[1]).status(), "subject"));
  return Subject{.id = std::string(tokens[1]), .what = std::string(tokens[2])};
}

// By source and id an event is the same event, so whoever reads it comes to the same trace.
Trace TraceBegunBy(const v1::EventEnvelope& envelope) {
  const auto digest = Sha256(std::format("{}\n{}", envelope.source(), envelope.id()));
  const auto number = [&digest](size_t at) {
    uint64_t value = 0;
    for (size_t i = at; i < at + sizeof value; ++i) value = value << 8 | digest[i];
    return std::max<uint64_t>(value, 1);  // zeros are no id
  };
  Trace trace{.high = number(0), .low = number(8), .span = number(16)};
  trace.sampled = IsSampled(trace);
  return trace;
}

bool IsText(std::string_view text) {
  while (!text.empty()) {
    const Utf8Character c = DecodeUtf8(text);
    if (c.bytes == 0 || c.code_point == 0) return false;  // PostgreSQL keeps no NUL
    text.remove_prefix(c.bytes);
  }
  return true;
}

absl::Status CheckSettings(const v1::TenantEvent& data) {
  if (data.settings().size() > kMaxSettings) {
    return Malformed("data.settings", std::format("{} entries", data.settings().size()),
                     std::format("at most {} entries", kMaxSettings));
  }
  for (const auto& [key, value] : data.settings()) {
    const bool good_key = !key.empty() && key.size() <= kMaxKeyBytes && std::ranges::all_of(key, [](char c) {
      return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-';
    });
    if (!good_key) return Malformed("data.settings", key, "keys [A-Za-z0-9_.-]{1,64}");
    if (value.size() > kMaxValueBytes || !IsText(value)) {
      return Malformed(std::format("data.settings.{}", key), value,
                       std::format("at most {} bytes of UTF-8 without NUL", kMaxValueBytes));
    }
  }
  return absl::OkStatus();
}

// Checks each field against its grammar and brings it into its one form.
absl::Status Normalize(std::string_view id, v1::TenantEvent& data) {
  if (data.id().empty()) return Missing("data.id", id);
  LH_RETURN_IF_ERROR(AsMalformed(TenantId::Parse(data.id()).status(), "data.id"));
  if (data.id() != id) return Malformed("data.id", data.id(), std::format("{}, as the subject says", id));
  if (!data.name().empty()) {
    auto name = ParseDisplayName(data.name());
    LH_RETURN_IF_ERROR(AsMalformed(name.status(), "data.name"));
    data.set_name(*std::move(name));
  }
  if (!data.domain().empty()) {
    auto domain = ParseDomain(data.domain());
    LH_RETURN_IF_ERROR(AsMalformed(domain.status(), "data.domain"));
    data.set_domain(*std::move(domain));
  }
  if (data.generation() < 0) {
    return Malformed("data.generation", std::format("{}", data.generation()), "1 and up, or absent");
  }
  if (!v1::DesiredState_IsValid(data.desired())) {
    return Malformed("data.desired", std::format("{}", static_cast<int>(data.desired())), "a DesiredState");
  }
  return CheckSettings(data);
}

}  // namespace

absl::StatusOr<TenantEvent> DecodeTenantEvent(std::string_view subject, const jetstream::Headers& headers,
                                              std::string_view payload) {
  if (payload.size() > kMaxEventBytes) {
    return Malformed("event", std::format("{} bytes", payload.size()), std::format("at most {} bytes", kMaxEventBytes));
  }
  LH_ASSIGN_OR_RETURN(Subject route, ParseSubject(subject));
  LH_ASSIGN_OR_RETURN(const Mode mode, ModeOf(headers));
  TenantEvent event;
  if (mode == Mode::kStructured) {
    LH_ASSIGN_OR_RETURN(StructuredEvent structured, ParseStructured(payload));
    LH_ASSIGN_OR_RETURN(event.envelope, ReadEnvelope(structured.attributes));
    event.data = std::move(structured.data);
  } else {
    LH_ASSIGN_OR_RETURN(event.envelope, ReadEnvelope(AttributesOf(headers)));
    const google::protobuf::LogSilencer quiet;  // a stranger's bytes do not write our log
    if (!event.data.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
      return Malformed("data", payload, "the bytes of a leasehold.v1.TenantEvent");
    }
    event.data.DiscardUnknownFields();
  }
  LH_RETURN_IF_ERROR(CheckAgreement(event.envelope, TypeOf(route.what), route.id));
  LH_RETURN_IF_ERROR(Normalize(route.id, event.data));
  event.what = std::move(route.what);
  event.trace = jetstream::TraceOf(headers);
  if (!event.trace) event.trace = ParseTraceparent(event.envelope.traceparent());
  if (!event.trace) event.trace = TraceBegunBy(event.envelope);
  return event;
}

Encoded EncodeTenantEvent(const v1::EventEnvelope& envelope, std::string_view what, const v1::TenantEvent& data) {
  v1::EventEnvelope own = envelope;
  own.set_type(TypeOf(what));
  own.set_subject(data.id());
  Encoded encoded{.subject = std::format("tenants.{}.{}", data.id(), what),
                  .headers = {{"content-type", std::string(kStructuredJson)}},
                  .payload = WriteStructured(own, data),
                  .message_id = own.id()};
  if (!own.traceparent().empty()) encoded.headers[std::string(kTraceparent)] = own.traceparent();
  if (encoded.payload.size() > kMaxEventBytes) {
    encoded.headers = BinaryHeaders(own);
    encoded.payload = data.SerializeAsString();
  }
  return encoded;
}

}  // namespace leasehold::events
