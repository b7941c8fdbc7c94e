// The part of a pass that looks for drift: makes findings of what the pass has observed, removes what was left over,
// looks into a few databases, and tells the gateway. It adds no query per tenant but for those few.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/postgres/postgres.h"
#include "common/telemetry/metrics.h"
#include "leasehold/v1/doctor.pb.h"
#include "services/provisioner/drift/findings.h"
#include "services/provisioner/drift/inspections.h"
#include "services/provisioner/steps/instance.h"

namespace leasehold::provisioner {

// One thread.
class Rounds {
 public:
  struct Options {
    int inspections = 1;                               // databases to look into, each time
    absl::Duration inspect_after = absl::Minutes(10);  // a database is not looked into more often
  };
  using Report = std::function<absl::Status(const std::vector<v1::Finding>& findings)>;

  // References outlive it.
  Rounds(Options options, const Instance& instance, const Clock& clock, Metrics& metrics, Report report);

  // Errors are those of the instance; that nobody took the report is none.
  absl::Status Make(postgres::Connection& central, const Compared& compared);

 private:
  // False: it cannot be removed.
  absl::StatusOr<bool> Remove(postgres::Connection& central, const Leftover& leftover);
  // The findings in one database, put right where that is possible.
  absl::StatusOr<std::vector<v1::Finding>> Inspect(postgres::Connection& central, const TenantId& tenant);

  const Options options_;
  const Instance& instance_;
  const Report report_;
  Inspections inspections_;
  prometheus::Gauge& needing_somebody_;
  std::set<Leftover> leftovers_;         // of the pass before
  std::set<std::string> second_sights_;  // of the pass before
};

}  // namespace leasehold::provisioner
