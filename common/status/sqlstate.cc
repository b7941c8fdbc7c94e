#include "common/status/sqlstate.h"

#include "common/status/error.h"
#include "common/status/reasons.h"

namespace leasehold {

std::string_view SqlStateOf(const absl::Status& status) {
  if (status.ok()) return "00000";
  if (!ClientSafe(status) && absl::IsCancelled(status)) return "57014";
  return EntryOf(ReasonOf(status)).sqlstate;
}

}  // namespace leasehold
