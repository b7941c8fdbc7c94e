// What would be in the way of migrations: looked for over the whole fleet through the central database, and inside one
// database as its owner. Each finding names the database, the object and the remedy.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/postgres/postgres.h"
#include "leasehold/v1/migration.pb.h"
#include "services/provisioner/migrations/history.h"
#include "services/provisioner/migrations/schema.h"
#include "services/provisioner/rollout/fleet.h"

namespace leasehold::provisioner {

using Findings = std::vector<v1::MigrationFinding>;

v1::MigrationFinding MakeFinding(v1::MigrationSeverity severity, std::string_view code, std::string_view database,
                                 std::string_view object, std::string_view message, std::string_view remedy);

struct FleetLimits {
  // Whoever keeps a transaction open for longer may be in the way of what a file alters.
  absl::Duration long_transaction = absl::Minutes(1);
  int oldest_server = 160000;  // as server_version_num
};

// Server version, whether it is a replica, the login's privileges, disk, free connections; of each database that it
// exists and lets its owner in, who holds strong locks in it, and whose transaction in it is old or prepared;
// extensions that pending files want and the server does not have; InspectFiles(). `central`: as the provisioner's
// login.
absl::StatusOr<Findings> InspectFleet(postgres::Connection& central, const Instance& instance,
                                      std::span<const FleetDatabase> databases, const FleetMigrations& files,
                                      int parallelism, const FleetLimits& limits = {});

// How histories differ from the files, of the databases of which the summary says so. Looks into one database of each
// history. Blocks.
Findings InspectHistories(const Instance& instance, std::span<const FleetDatabase> databases,
                          const FleetMigrations& files);

// Pending files that hold no statement: they count as applied like others, and cannot be filled later.
Findings InspectFiles(std::span<const FleetDatabase> databases, const FleetMigrations& files);

// How much room there is on the file system of the server's data `directory`; empty: it is not known.
Findings InspectDisk(const std::string& host, const std::string& directory);

// Invalid indexes, strong locks, what the owner may not do, extensions that `pending` wants and cannot have. `owner`:
// logged in as the database's owner.
absl::StatusOr<Findings> InspectDatabase(postgres::Connection& owner, const std::string& database,
                                         std::span<const Migration* const> pending);

Findings FindingsOf(std::span<const HistoryMismatch> mismatches, const std::string& database);
// At most 50, and then one that says how many more.
Findings FindingsOf(std::span<const DriftedObject> drifted, const std::string& database);

bool HasError(const Findings& findings);
// The first error as one sentence: "database x: object: message".
std::string FirstError(const Findings& findings);

// Names that CREATE EXTENSION statements in `files` give.
std::vector<std::string> ExtensionsIn(std::span<const Migration* const> files);

}  // namespace leasehold::provisioner
