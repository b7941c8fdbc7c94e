// What is amiss on an instance: what was observed against the records and the registry's list, as findings for people.
// Pure. What reconcile repairs by itself (plan.h) is told here too, so that somebody can ask who did it.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/identity/identity.h"
#include "leasehold/v1/doctor.pb.h"
#include "services/provisioner/state/records.h"
#include "services/provisioner/steps/observe.h"

namespace leasehold::provisioner {

struct Compared {
  const ServiceName& service;
  const ObservedInstance& seen;
  const std::map<TenantId, TenantRecord>& records;
  // The ids that the registry lists; nullopt if it did not answer.
  std::optional<std::set<std::string>> listed{};
  // Database ids beside those of the records that somebody works with.
  std::set<std::string> in_use{};
};

// Something that a run left, which ended or stood still, and that nobody will come back for.
struct Leftover {
  bool operator==(const Leftover&) const = default;
  auto operator<=>(const Leftover&) const = default;

  TenantId tenant;
  std::string database_id{};
  std::string database{};  // half made, under its staging name; empty: the tenant's roles
};

struct Diagnosis {
  std::vector<v1::Finding> findings{};
  // May be removed, if a later pass still sees them: what was observed a moment before the records were read may have
  // been under way.
  std::set<Leftover> leftovers{};
};

Diagnosis Diagnose(const Compared& compared);

// True for findings that only count once a second pass has them too, for the same reason.
bool NeedsSecondSight(const v1::Finding& finding);

}  // namespace leasehold::provisioner
