// As whom a tenant's database is dumped.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/postgres/postgres.h"
#include "services/provisioner/steps/closed_dump.h"
#include "services/provisioner/steps/instance.h"

namespace leasehold::provisioner {

// The log-in of the database's owner: pg_dump looks some things up by their names, without a lock, and what a tenant
// has put there meanwhile must not meet more rights than the tenant's own. An owner that may not log in is that of a
// closed tenant, of which nobody puts anything anywhere: then the provisioner's login, and `closed`, of that database
// and on `central`, is taken, to be held until the dump ends. Who then opens the tenant ends `central`'s session: so
// a dump only begins once that was seen to be there after its snapshot was taken. `owner_mark`: the owner role's.
absl::StatusOr<postgres::ConnectOptions> DumpLogin(const Instance& instance, postgres::Connection& central,
                                                   const std::string& database, const std::string& owner_mark,
                                                   ClosedDump& closed);

}  // namespace leasehold::provisioner
