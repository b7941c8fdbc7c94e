// Applies migrations to one database, each exactly once.
//
// A file runs on a connection that logged in as the database's owner, not under SET ROLE on the provisioner's own: code
// that a tenant has left in its database (a trigger on a table that a migration updates) could RESET ROLE and find
// itself with the provisioner's privileges. The owner in turn may not write the history. So one transaction of the
// owner and its record meet through the transaction's id: the record is written, with the id, before the owner commits,
// and after a crash pg_xact_status() tells which way it went.
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/postgres/postgres.h"
#include "services/provisioner/migrations/folder.h"

namespace leasehold::provisioner {

struct MigrationConnections {
  postgres::Connection& keeper;  // the provisioner's login: schema `leasehold` is its own
  postgres::Connection& owner;   // logged in as the role that shall own what the files make
};

// Makes schema `leasehold` and its table `migrations` if they are missing. Nobody but the keeper may use them.
absl::Status PrepareHistory(postgres::Connection& keeper);

// Brings the database to the newest version and returns it. Blocks; one thread at a time for each connection; two
// callers on one database wait for each other. `go_on` is asked before each file: what it returns, if not OK, ends the
// run. MIGRATION_FAILED names the file and, for a failed statement, its line and SQLSTATE: what ran before it stays
// recorded. The database's history must agree with the files: none of them changed, missing, or late.
absl::StatusOr<int> Migrate(MigrationConnections connections, const Migrations& migrations,
                            const std::function<absl::Status()>& go_on);

}  // namespace leasehold::provisioner
