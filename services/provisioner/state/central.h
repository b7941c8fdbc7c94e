// The central database of a service: made if it is absent, given its two roles, migrated. Its schema `leasehold` holds
// the provisioner's own records, which nobody else may read.
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "common/postgres/postgres.h"
#include "services/provisioner/migrations/folder.h"
#include "services/provisioner/steps/instance.h"

namespace leasehold::provisioner {

// Idempotent; run at start, again until it worked. Two callers wait for each other. Blocks.
// NAME_TAKEN: a role of the name that Leasehold did not make. INSUFFICIENT_PRIVILEGE: the login may not create the
// database, or does not own it. Else as TenantDatabase::Run. `keep_version`: one that has been migrated before is left
// at its version, to runs over the fleet.
absl::Status PrepareCentral(const Instance& instance, const Migrations& migrations,
                            const std::function<absl::Status()>& go_on, bool keep_version = false);

// The tables of records.h. Part of PrepareCentral; `tx`: as the provisioner's login in the central database.
absl::Status PrepareRecords(postgres::Transaction& tx);

}  // namespace leasehold::provisioner
