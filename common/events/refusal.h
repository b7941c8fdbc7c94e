// Why an event is refused, always as MALFORMED_EVENT with the field, the value and what is allowed.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace leasehold::events {

absl::Status Malformed(std::string_view field, std::string_view value, std::string_view allowed);
absl::Status Missing(std::string_view field, std::string_view allowed);
absl::Status Empty(std::string_view field, std::string_view allowed);

// An INVALID_FIELD of common/identity as MALFORMED_EVENT of `field`. OK stays OK.
absl::Status AsMalformed(const absl::Status& status, std::string_view field);

// OK if `text` is 1 to `max_bytes` bytes of UTF-8 without control characters.
absl::Status CheckLine(std::string_view field, std::string_view text, size_t max_bytes);

}  // namespace leasehold::events
