#include "common/status/error.h"

#include <format>
#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include "common/status/reasons.h"
#include "common/status/utf8.h"

namespace leasehold {
namespace {

constexpr char kTypeUrl[] = "type.leasehold.dev/leasehold.v1.ErrorDetail";

absl::Status Make(const v1::ErrorDetail& detail, absl::StatusCode code, std::string_view message) {
  absl::Status status(code, AbslView(message));
  status.SetPayload(kTypeUrl, absl::Cord(detail.SerializeAsString()));
  return status;
}

std::string InvalidFieldText(const v1::ErrorDetail& detail) {
  return std::format("{} is '{}'; allowed: {}", detail.field(), detail.value(), detail.allowed());
}

}  // namespace

absl::StatusCode CodeOf(Reason reason) { return EntryOf(reason).code; }

std::string_view ReasonName(Reason reason) { return EntryOf(reason).name; }

absl::Status Error(Reason reason, std::string_view message) {
  v1::ErrorDetail detail;
  detail.set_reason(reason);
  return Make(detail, CodeOf(reason), message);
}

absl::Status InvalidField(std::string_view field, std::string_view value, std::string_view allowed) {
  v1::ErrorDetail detail;
  detail.set_reason(v1::REASON_INVALID_FIELD);
  detail.set_field(Printable(field));
  detail.set_value(Printable(value));
  detail.set_allowed(Printable(allowed, 1000));
  return Make(detail, CodeOf(detail.reason()), InvalidFieldText(detail));
}

absl::Status WithRetryAfter(absl::Status status, absl::Duration wait) {
  std::optional<v1::ErrorDetail> detail = DetailOf(status);
  if (!detail) return status;
  detail->mutable_retry_after()->set_seconds(absl::IDivDuration(wait, absl::Seconds(1), &wait));
  detail->mutable_retry_after()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(wait)));
  return WithDetail(std::move(status), *detail);
}

absl::Status WithField(absl::Status status, std::string_view field) {
  std::optional<v1::ErrorDetail> detail = DetailOf(status);
  if (!detail) return status;
  const bool generated = detail->reason() == v1::REASON_INVALID_FIELD && status.message() == InvalidFieldText(*detail);
  detail->set_field(Printable(field));
  if (generated) return Make(*detail, status.code(), InvalidFieldText(*detail));
  return WithDetail(std::move(status), *detail);
}

absl::Status WithFieldPrefix(absl::Status status, std::string_view prefix) {
  const std::optional<v1::ErrorDetail> detail = DetailOf(status);
  if (!detail) return status;
  if (detail->field().empty()) return WithField(std::move(status), prefix);
  return WithField(std::move(status), std::format("{}.{}", prefix, detail->field()));
}

std::optional<v1::ErrorDetail> DetailOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kTypeUrl);
  v1::ErrorDetail detail;
  if (!payload || !detail.ParseFromString(std::string(*payload))) return std::nullopt;
  return detail;
}

Reason ReasonOf(const absl::Status& status) {
  if (status.ok()) return v1::REASON_UNSPECIFIED;
  if (const std::optional<v1::ErrorDetail> detail = DetailOf(status)) return detail->reason();
  return absl::IsDeadlineExceeded(status) ? v1::REASON_DEADLINE_EXCEEDED : v1::REASON_INTERNAL;
}

absl::Status WithDetail(absl::Status status, const v1::ErrorDetail& detail) {
  status.SetPayload(kTypeUrl, absl::Cord(detail.SerializeAsString()));
  return status;
}

bool ClientSafe(const absl::Status& status) { return status.ok() || status.GetPayload(kTypeUrl).has_value(); }

std::string_view ClientText(const absl::Status& status) {
  if (ClientSafe(status)) return StdView(status.message());
  if (absl::IsCancelled(status)) return "cancelled";
  if (absl::IsDeadlineExceeded(status)) return "deadline exceeded";
  return "internal error";
}

std::string Printable(std::string_view text, size_t max_bytes) {
  std::string out;
  while (!text.empty()) {
    const Utf8Character c = DecodeUtf8(text);
    const bool plain = c.bytes > 0 && !IsControl(c.code_point);
    std::string piece;
    if (plain) {
      piece = text.substr(0, c.bytes);
    } else {
      piece = std::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
    }
    if (out.size() + piece.size() > max_bytes) return out + "…";
    out += piece;
    text.remove_prefix(plain ? c.bytes : 1);
  }
  return out;
}

}  // namespace leasehold
