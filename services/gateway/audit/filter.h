// Which events a ListAuditEventsRequest asks for.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "leasehold/v1/audit.pb.h"

namespace leasehold::gateway {

class AuditFilter {
 public:
  // INVALID_FIELD.
  static absl::StatusOr<AuditFilter> Of(const v1::ListAuditEventsRequest& request);

  bool Matches(const v1::AuditEvent& event) const;

  // What the line of an event that matches holds in any case: most records are told apart by these without being
  // parsed.
  const std::vector<std::string>& marks() const { return marks_; }
  absl::Time since() const { return since_; }
  absl::Time until() const { return until_; }

 private:
  enum class Outcome { kAny, kDone, kRefused, kReason };

  v1::ListAuditEventsRequest request_;
  Outcome outcome_ = Outcome::kAny;
  v1::Reason reason_ = v1::REASON_UNSPECIFIED;
  absl::Time since_ = absl::InfinitePast();
  absl::Time until_ = absl::InfiniteFuture();
  std::vector<std::string> marks_;
};

}  // namespace leasehold::gateway
