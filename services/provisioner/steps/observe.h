// What exists on the instance under the names of tenants, and whose it is. A comment, the mark, says that Leasehold
// made a thing: "leasehold:1:<database id>". What lacks it, or bears another id than recorded, is foreign and never
// touched. A database's owner may change its comment, but not that of its own role; so a database is Leasehold's also
// if its owner bears the mark.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/identity/identity.h"
#include "common/postgres/postgres.h"

namespace leasehold::provisioner {

std::string MarkOf(std::string_view database_id);
// Where a database is built before it is renamed into place: the name alone says whose it is.
std::string StagingName(std::string_view database_id);

struct ObservedDatabase {
  std::string mark{};           // empty: none
  std::string owner_mark{};     // of the role that owns it
  bool valid = true;            // false: a DROP DATABASE was interrupted; only dropping it again is possible
  bool open_to_public = false;  // PUBLIC may connect or make temporary tables
};

// Made for `database_id`: it or its owner bears the mark.
bool IsOf(const ObservedDatabase& database, std::string_view database_id);

struct ObservedRole {
  std::string mark{};
  bool can_login = false;
};

struct ObservedTenant {
  std::optional<ObservedDatabase> database{};
  std::optional<ObservedRole> owner{};
  std::optional<ObservedRole> read_only{};
};

// By tenant id. One query for databases and one for roles, however many there are.
absl::StatusOr<std::map<std::string, ObservedTenant>> ObserveAll(postgres::Connection& central,
                                                                 const ServiceName& service);
absl::StatusOr<ObservedTenant> Observe(postgres::Connection& central, const ServiceName& service,
                                       const TenantId& tenant);

// The database of this exact name.
absl::StatusOr<std::optional<ObservedDatabase>> ObserveDatabase(postgres::Connection& central, const std::string& name);
absl::StatusOr<std::optional<ObservedRole>> ObserveRole(postgres::Transaction& tx, const std::string& name);

}  // namespace leasehold::provisioner
