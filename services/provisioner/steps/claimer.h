// The role as which spares are renamed. PostgreSQL checks the right to alter a role by going through every role that
// one is a member of, anew after each ALTER ROLE; the provisioner's login is a member of all its tenants' roles, so its
// renames would cost more with each tenant (0.4 ms each at 500, 17 ms at 5,000). The claimer is a member of the spares'
// roles alone. It cannot log in: only the provisioner's login becomes it, as its connections for claims are made.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "common/postgres/postgres.h"
#include "services/provisioner/steps/roles.h"

namespace leasehold::provisioner {

// "leasehold_claims_" and 8 hex digits, of the login's name: logins that share an instance have one each.
std::string ClaimerOf(std::string_view login);

// It exists as it should be, and may write the records of tenants and spares. NAME_TAKEN: somebody else's role has that
// name, or others may act as it.
absl::Status MakeClaimer(postgres::Transaction& tx, const std::string& claimer);

// The claimer may rename what these two own, and let them log in.
absl::Status LetClaim(postgres::Transaction& tx, const std::string& claimer, const RoleSpec& owner,
                      const RoleSpec& reader);

// It may no longer do anything with the roles of tenants, which spares have become. One statement for all.
absl::Status EndClaims(postgres::Connection& central, const std::string& claimer);

}  // namespace leasehold::provisioner
