// Transactions that a tenant has PREPAREd and left. They outlive sessions and restarts, and no database can be renamed
// or dropped with one in it.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "common/postgres/postgres.h"
#include "services/provisioner/steps/instance.h"

namespace leasehold::provisioner {

// Rolls back what is prepared in the database `name`, if it or its owner bears `mark`, and opens it to the login for
// that if its owner has closed it. Not OK if one is left, of a role that the login may not act as; the message names
// it.
absl::Status RollBackPrepared(const Instance& instance, postgres::Connection& central, const std::string& name,
                              std::string_view mark);

}  // namespace leasehold::provisioner
