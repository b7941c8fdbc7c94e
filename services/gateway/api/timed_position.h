// Where a page begins in a list of what has a time and an id "<tenant>.<generation>": operations, backups.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/config/config.h"
#include "services/gateway/registry/operation_id.h"

namespace leasehold::gateway {

// Behind this one.
struct TimedPosition {
  absl::Time time;
  OperationId id;

  // "<microseconds> <id>"
  template <typename Entry>
  static std::string Text(const Entry& entry) {
    return Text(ToTime(entry.create_time()), entry.id());
  }
  static std::string Text(absl::Time time, std::string_view id);
  // BAD_PAGE_TOKEN.
  static absl::StatusOr<TimedPosition> Parse(std::string_view text);
};

}  // namespace leasehold::gateway
