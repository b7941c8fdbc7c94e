// The one table of reasons: what each is on the other side of each border.
#pragma once

#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "leasehold/v1/error.pb.h"

namespace leasehold {

struct ReasonEntry {
  v1::Reason reason;
  std::string_view name;  // without "REASON_"
  absl::StatusCode code;
  std::string_view sqlstate;
};

std::span<const ReasonEntry> ReasonTable();

// The entry of REASON_INTERNAL for a number that this build does not know.
const ReasonEntry& EntryOf(v1::Reason reason);

}  // namespace leasehold
