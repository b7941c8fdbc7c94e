#include "services/provisioner/archive/dump_login.h"

#include <optional>

#include "common/status/error.h"
#include "services/provisioner/steps/observe.h"

namespace leasehold::provisioner {

absl::StatusOr<postgres::ConnectOptions> DumpLogin(const Instance& instance, postgres::Connection& central,
                                                   const std::string& database, const std::string& owner_mark,
                                                   ClosedDump& closed) {
  LH_RETURN_IF_ERROR(closed.Take());
  std::optional<ObservedRole> owner;
  LH_RETURN_IF_ERROR(central.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(owner, ObserveRole(tx, database));
    return absl::OkStatus();
  }));
  if (!owner.has_value() || !owner->can_login) return instance.AsLogin(database);
  closed.Release();
  return instance.AsRole(database, database, DatabaseIdOfMark(owner_mark), RoleKind::kOwner);
}

}  // namespace leasehold::provisioner
