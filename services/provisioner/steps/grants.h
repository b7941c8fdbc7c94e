// Who may do what inside a tenant's database: the read-only role reads all that the owner makes, PUBLIC nothing.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/postgres/postgres.h"
#include "services/provisioner/steps/roles.h"

namespace leasehold::provisioner {

// Inside a database that nobody else has been in yet, and on what the owner will make there; prepares the history of
// migrations too, with Instance::HistorySecret(). `inside`: as the provisioner's login.
absl::Status GrantInside(postgres::Connection& inside, const RoleSpec& owner, const RoleSpec& read_only,
                         const Secret& history_secret);

// PrepareHistory() for the role `owner`, and `reader` may read what was applied. Idempotent.
absl::Status GrantHistory(postgres::Connection& inside, const std::string& owner, const std::string& reader,
                          const Secret& secret);

}  // namespace leasehold::provisioner
