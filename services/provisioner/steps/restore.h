// Puts back what somebody changed of a tenant's database and roles from outside: name, owner, privileges, attributes,
// memberships. Only of what bears the tenant's mark; what is as it should be is left alone. What the provisioner's
// login may not change stays as it is, without an error: drift/findings.h tells of it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/postgres/postgres.h"
#include "services/provisioner/steps/roles.h"

namespace leasehold::provisioner {

// If there is no database `name`, but one under another name whose comment is `mark`: ends its sessions and renames it
// back. NAME_TAKEN if there are several, or one that says only through its owner that it was the tenant's: somebody has
// to decide. `allowed` is asked in the same transaction.
absl::Status RestoreName(postgres::Connection& central, const std::string& name, std::string_view mark,
                         const std::function<absl::Status(postgres::Transaction&)>& allowed);

// The names of databases other than `name` whose comment is `mark`; not what is being built or dropped.
absl::StatusOr<std::vector<std::string>> OtherNames(postgres::Connection& central, const std::string& name,
                                                    std::string_view mark);

// Owner, and who may connect to database `name`: the owner, who may also create schemas and temporary tables, and the
// reader.
absl::Status RestoreGrants(postgres::Transaction& tx, const std::string& name, const RoleSpec& owner,
                           const RoleSpec& reader);

// Attributes and memberships.
absl::Status RestoreRole(postgres::Transaction& tx, const RoleSpec& role);

}  // namespace leasehold::provisioner
