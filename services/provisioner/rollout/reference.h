// Databases as the files make them, to compare others with: a scratch database, migrated step by step, looked at, and
// dropped.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "common/postgres/postgres.h"
#include "services/provisioner/migrations/schema.h"
#include "services/provisioner/rollout/fleet.h"
#include "services/provisioner/steps/instance.h"

namespace leasehold::provisioner {

class References {
 public:
  // `central`: a connection of the provisioner's login to the central database. All outlive this.
  References(const Instance& instance, const FleetMigrations& files, postgres::Connection& central)
      : instance_(instance), files_(files), central_(central) {}

  // Which (is it a tenant's, version) there must be. Blocks: about 0.2 s for each kind, and what the files take. Drops
  // what it made, also when it fails; `database_id` has to be recorded before, so that whoever comes after a crash can
  // Drop() it.
  absl::Status Make(const std::set<std::pair<bool, int>>& wanted, const std::string& database_id,
                    const std::function<absl::Status()>& go_on);
  absl::Status Drop(const std::string& database_id);

  // nullptr if it was not made. Any thread, after Make().
  const SchemaObjects* Find(bool tenant, int version) const;

 private:
  absl::Status MakeKind(bool tenant, const std::set<int>& versions, const std::string& database_id,
                        const std::function<absl::Status()>& go_on);

  const Instance& instance_;
  const FleetMigrations& files_;
  postgres::Connection& central_;
  std::map<std::pair<bool, int>, SchemaObjects> made_;
};

}  // namespace leasehold::provisioner
