#include "services/provisioner/rollout/reference.h"

#include <algorithm>

#include "common/failpoint/failpoint.h"
#include "common/status/error.h"
#include "services/provisioner/steps/migrate_database.h"
#include "services/provisioner/steps/observe.h"
#include "services/provisioner/steps/tenant_database.h"

namespace leasehold::provisioner {
namespace {

Migrations UpTo(const Migrations& files, int version) {
  Migrations some;
  std::ranges::copy_if(files, std::back_inserter(some),
                       [version](const auto& file) { return file.version <= version; });
  return some;
}

}  // namespace

absl::Status References::Make(const std::set<std::pair<bool, int>>& wanted, const std::string& database_id,
                              const std::function<absl::Status()>& go_on) {
  for (const bool tenant : {false, true}) {
    std::set<int> versions;
    for (const auto& [of_tenant, version] : wanted) {
      if (of_tenant == tenant) versions.insert(version);
    }
    if (versions.empty()) continue;
    const absl::Status made = MakeKind(tenant, versions, database_id, go_on);
    LH_FAILPOINT("before dropping what databases are compared with");
    const absl::Status dropped = Drop(database_id);
    LH_RETURN_IF_ERROR(made);
    LH_RETURN_IF_ERROR(dropped);
  }
  return absl::OkStatus();
}

absl::Status References::MakeKind(bool tenant, const std::set<int>& versions, const std::string& database_id,
                                  const std::function<absl::Status()>& go_on) {
  const Migrations& files = tenant ? *files_.tenant : *files_.central;
  const Migrations first = UpTo(files, *versions.begin());
  TenantDatabase scratch(instance_, first, central_,
                         {.tenant = std::nullopt, .database_id = database_id, .renew_secrets = true});
  // All steps of a spare but the last, which shuts it.
  const auto steps = TenantDatabase::Spare();
  LH_RETURN_IF_ERROR(scratch.Run(steps.first(steps.size() - 1), go_on));
  const std::string name = StagingName(database_id);
  for (const int version : versions) {
    MigrateResult result;
    const MigrationTarget target{.database = name, .owner = name, .id = database_id};
    LH_RETURN_IF_ERROR(MigrateDatabase(instance_, target, UpTo(files, version), {.go_on = go_on}, result));
    postgres::Connection inside(instance_.AsLogin(name));
    LH_ASSIGN_OR_RETURN(made_[std::pair(tenant, version)], ReadSchema(inside));
  }
  return absl::OkStatus();
}

absl::Status References::Drop(const std::string& database_id) {
  TenantDatabase scratch(instance_, *files_.tenant, central_, {.tenant = std::nullopt, .database_id = database_id});
  return scratch.Run(TenantDatabase::NoSpare(), [] { return absl::OkStatus(); });
}

const SchemaObjects* References::Find(bool tenant, int version) const {
  const auto found = made_.find(std::pair(tenant, version));
  return found == made_.end() ? nullptr : &found->second;
}

}  // namespace leasehold::provisioner
