// What other tenants have given a role. Whoever owns a table may grant it to any role, and PostgreSQL drops no role
// that has a privilege anywhere: so one tenant could keep another's roles, and with them its removal, from coming to an
// end.
#pragma once

#include <initializer_list>

#include "absl/status/status.h"
#include "common/postgres/postgres.h"
#include "services/provisioner/steps/instance.h"
#include "services/provisioner/steps/roles.h"

namespace leasehold::provisioner {

// Takes from roles that are about to be dropped what was granted to them in other tenants' databases of this service,
// and on these databases. A role that is absent, or under another mark, is left alone; so is what is granted in
// databases that are not tenants'.
absl::Status RevokeElsewhere(const Instance& instance, postgres::Connection& central,
                             std::initializer_list<const RoleSpec*> roles);

}  // namespace leasehold::provisioner
