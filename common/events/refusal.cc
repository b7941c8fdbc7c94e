#include "common/events/refusal.h"

#include <format>
#include <string>

#include "common/status/error.h"
#include "common/status/utf8.h"

namespace leasehold::events {
namespace {

absl::Status Refuse(std::string_view text, std::string_view field, std::string_view value, std::string_view allowed) {
  v1::ErrorDetail detail;
  detail.set_reason(v1::REASON_MALFORMED_EVENT);
  detail.set_field(Printable(field));
  detail.set_value(Printable(value));
  detail.set_allowed(std::string(allowed));
  return WithDetail(Error(v1::REASON_MALFORMED_EVENT, text), detail);
}

}  // namespace

absl::Status Malformed(std::string_view field, std::string_view value, std::string_view allowed) {
  return Refuse(std::format("{} is '{}'; allowed: {}", Printable(field), Printable(value), allowed), field, value,
                allowed);
}

absl::Status Missing(std::string_view field, std::string_view allowed) {
  return Refuse(std::format("{} is missing; allowed: {}", Printable(field), allowed), field, "", allowed);
}

absl::Status Empty(std::string_view field, std::string_view allowed) {
  return Refuse(std::format("{} is empty; allowed: {}", Printable(field), allowed), field, "", allowed);
}

absl::Status AsMalformed(const absl::Status& status, std::string_view field) {
  if (status.ok()) return status;
  const auto detail = DetailOf(status);
  if (!detail) return Malformed(field, "", "a valid value");
  return Malformed(field, detail->value(), detail->allowed());
}

absl::Status CheckLine(std::string_view field, std::string_view text, size_t max_bytes) {
  bool good = !text.empty() && text.size() <= max_bytes;
  for (std::string_view rest = text; good && !rest.empty();) {
    const Utf8Character c = DecodeUtf8(rest);
    good = c.bytes > 0 && !IsControl(c.code_point);
    rest.remove_prefix(c.bytes);
  }
  if (good) return absl::OkStatus();
  return Malformed(field, text, std::format("1 to {} bytes of UTF-8 without control characters", max_bytes));
}

}  // namespace leasehold::events
