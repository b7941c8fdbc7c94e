#include "services/gateway/audit/line.h"

#include <google/protobuf/util/json_util.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/str_format.h"
#include "common/identity/identity.h"
#include "common/status/utf8.h"
#include "common/status/view.h"
#include "common/telemetry/json_text.h"

namespace leasehold::gateway {
namespace {

constexpr size_t kMostBytes = 256;

// Writing a second out takes longer than all the rest of a line.
void AppendTime(std::string& out, absl::Time time) {
  thread_local int64_t known = -1;
  thread_local std::string text;
  const int64_t micros = absl::ToUnixMicros(time);
  if (const int64_t second = micros / 1'000'000; second != known) {
    known = second;
    text = absl::FormatTime("%Y-%m-%d%ET%H:%M:%S", absl::FromUnixSeconds(second), absl::UTCTimeZone());
  }
  char fraction[] = ".000000Z";
  for (int64_t i = 6, rest = micros % 1'000'000; i > 0; --i, rest /= 10)
    fraction[i] = static_cast<char>('0' + rest % 10);
  out += text;
  out += fraction;
}

// protobuf looks names up by their numbers.
std::string_view NameOf(v1::AuditAction action) {
  static const auto& names = *[] {
    auto* all = new std::array<std::string, v1::AuditAction_ARRAYSIZE>;
    for (int i = 0; i < v1::AuditAction_ARRAYSIZE; ++i)
      (*all)[i] = v1::AuditAction_Name(static_cast<v1::AuditAction>(i));
    return all;
  }();
  return v1::AuditAction_IsValid(action) ? std::string_view(names[action]) : "";
}

std::string_view Cut(std::string_view text) {
  if (text.size() <= kMostBytes) return text;
  size_t end = kMostBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // not within a character
  return text.substr(0, end);
}

// `begin`: what a member begins with, up to its text.
void AppendText(std::string& out, std::string_view begin, std::string_view value) {
  if (value.empty()) return;
  out += begin;
  AppendJsonText(out, Cut(value));
  out += '"';
}

}  // namespace

void AppendAuditLine(std::string& out, absl::Time time, const AuditEntry& entry) {
  out += "{\"time\":\"";
  AppendTime(out, time);
  out += '"';
  AppendText(out, ",\"action\":\"", NameOf(entry.action));
  const bool done = entry.outcome == v1::REASON_UNSPECIFIED;
  if (!done) AppendText(out, ",\"outcome\":\"", v1::Reason_Name(entry.outcome));
  AppendText(out, ",\"principal\":\"", entry.principal);
  AppendText(out, ",\"holder\":\"", entry.holder);
  AppendText(out, ",\"address\":\"", entry.address);
  AppendText(out, ",\"traceId\":\"", entry.trace_id);
  if (done || TenantId::Parse(entry.tenant).ok()) AppendText(out, ",\"tenant\":\"", entry.tenant);
  if (done || ServiceName::Parse(entry.service).ok()) AppendText(out, ",\"service\":\"", entry.service);
  if (done || LeaseId::Parse(entry.lease).ok()) AppendText(out, ",\"lease\":\"", entry.lease);
  AppendText(out, ",\"subject\":\"", entry.subject);
  AppendText(out, ",\"detail\":\"", entry.detail);
  out += "}\n";
}

absl::StatusOr<v1::AuditEvent> ParseAuditLine(std::string_view line) {
  v1::AuditEvent event;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // a newer gateway's
  const auto status = google::protobuf::util::JsonStringToMessage({line.data(), line.size()}, &event, options);
  if (!status.ok()) return absl::DataLossError("a line of the trail is no event");
  return event;
}

std::string AuditMember(std::string_view name, std::string_view value) {
  std::string member = "{";
  AppendJsonMember(member, name, value);
  return member.substr(1);
}

}  // namespace leasehold::gateway
