// What exists on the instance under the names of tenants, and whose it is. A comment, the mark, says that Leasehold
// made a thing: "leasehold:1:<database id>". What lacks it, or bears another id than recorded, is foreign and never
// touched. A database's owner may change its comment, but not that of its own role; so a database is Leasehold's also
// if its owner bears the mark.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/identity/identity.h"
#include "common/postgres/postgres.h"

namespace leasehold::provisioner {

std::string MarkOf(std::string_view database_id);
// The inverse of MarkOf; empty if it is no mark.
std::string_view DatabaseIdOfMark(std::string_view mark);
// Where a database is built before it is renamed into place: the name alone says whose it is.
std::string StagingName(std::string_view database_id);
std::string StagingReadOnlyRole(std::string_view database_id);  // of a spare, whose owner has the staging name itself

// Lists of names are for people: "PUBLIC, alice"; empty: none.
struct ObservedDatabase {
  std::string mark{};           // empty: none
  std::string owner_mark{};     // of the role that owns it
  bool valid = true;            // false: a DROP DATABASE was interrupted; only dropping it again is possible
  bool open_to_public = false;  // PUBLIC may connect or make temporary tables
  std::string other_owner{};    // who owns it, if that is not the role of the database's name
  bool may_alter = true;        // the provisioner's login may do what its owner may
  bool of_another = false;      // its owner is a role of another service's login
  std::string surplus{};        // who was granted more than a tenant's two roles should have
  std::string lacking{};        // which of these two lacks something
};

// Made for `database_id`: it or its owner bears the mark.
bool IsOf(const ObservedDatabase& database, std::string_view database_id);

struct ObservedRole {
  std::string mark{};
  bool can_login = false;
  std::string powers{};      // attributes that no tenant's role has: "CREATEDB, BYPASSRLS"
  std::string members{};     // who else, but the provisioner's login, is a member of it
  std::string belongs_to{};  // what it is a member of
  bool may_restore = true;   // the provisioner's login may take all of these back
  bool of_another = false;   // another service's login made it, and may drop it
};

struct ObservedTenant {
  std::optional<ObservedDatabase> database{};
  std::optional<ObservedRole> owner{};
  std::optional<ObservedRole> read_only{};
};

struct ObservedInstance {
  // By tenant id.
  std::map<std::string, ObservedTenant> tenants{};
  // By name: what bears a mark, or a name as only Leasehold gives it, but not that of a tenant's.
  std::map<std::string, ObservedDatabase> other_databases{};
  std::map<std::string, ObservedRole> other_roles{};
};

// One query for databases and one for roles, however many there are.
absl::StatusOr<ObservedInstance> ObserveAll(postgres::Connection& central, const ServiceName& service);

// ObserveAll(), which reads again only if one of the catalogs behind it has changed since. One thread.
class InstanceObserver {
 public:
  explicit InstanceObserver(ServiceName service) : service_(std::move(service)) {}

  // Valid until the next call.
  absl::StatusOr<const ObservedInstance*> Observe(postgres::Connection& central);
  int64_t reads() const { return reads_; }  // how often it was not what it had been

 private:
  const ServiceName service_;
  std::string catalogs_;  // what they were like before observed_ was read; empty: it was not
  ObservedInstance observed_;
  int64_t reads_ = 0;
};

absl::StatusOr<ObservedTenant> Observe(postgres::Connection& central, const ServiceName& service,
                                       const TenantId& tenant);

// The database of this exact name.
absl::StatusOr<std::optional<ObservedDatabase>> ObserveDatabase(postgres::Connection& central, const std::string& name);
absl::StatusOr<std::optional<ObservedRole>> ObserveRole(postgres::Transaction& tx, const std::string& name);

}  // namespace leasehold::provisioner
