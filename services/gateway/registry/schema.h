// The registry's own tables, in schema `leasehold` of its database. Each version is applied once, in order, and
// recorded in leasehold.schema_version. A version that has shipped is never edited; a new one is added.
#pragma once

#include "absl/status/status.h"
#include "common/postgres/postgres.h"

namespace leasehold::gateway {

// Brings the database to the newest version, each version in a transaction of its own; an advisory lock lets one
// gateway do it while others wait. FAILED_PRECONDITION if the database is newer than this program. Blocks.
absl::Status MigrateSchema(postgres::Connection& connection);

// The version that MigrateSchema() leads to.
int NewestSchemaVersion();

}  // namespace leasehold::gateway
