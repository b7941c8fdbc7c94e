#include "services/gateway/api/timed_position.h"

#include <charconv>
#include <format>
#include <utility>

#include "common/status/error.h"
#include "services/gateway/api/page.h"

namespace leasehold::gateway {

std::string TimedPosition::Text(absl::Time time, std::string_view id) {
  return std::format("{} {}", absl::ToUnixMicros(time), id);
}

absl::StatusOr<TimedPosition> TimedPosition::Parse(std::string_view text) {
  int64_t micros = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), micros);
  const auto at = static_cast<size_t>(end - text.data());
  if (error != std::errc() || at >= text.size() || text[at] != ' ') return BadPageToken();
  absl::StatusOr<OperationId> id = OperationId::Parse(text.substr(at + 1));
  if (!id.ok()) return BadPageToken();
  return TimedPosition{.time = absl::FromUnixMicros(micros), .id = *std::move(id)};
}

}  // namespace leasehold::gateway
