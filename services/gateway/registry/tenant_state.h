// How a tenant's state moves: what is wanted of it, what its services have reported, and what that makes of it. Pure:
// no clock, no I/O, any thread.
//
// `generation` rises with every change. `provision_generation` is the generation of the last change that the instances
// have to follow (all but an update of name, domain or settings): a report that speaks of an older one says nothing
// about now.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "leasehold/v1/event.pb.h"
#include "leasehold/v1/operation.pb.h"
#include "leasehold/v1/tenant.pb.h"

namespace leasehold::gateway {

enum class Change {
  kCreate,
  kCreateSuspended,
  kUpdate,
  kSuspend,
  kResume,
  kDelete,
  kDeleteFor,  // with a retention of its own: a deleted tenant takes it over
  kPurge,
  kUndelete,
  kRetry,       // of the services that failed, those that are as wanted stay so; of all if each is as wanted
  kClone,       // a new tenant from another's data
  kRestoreNew,  // a new tenant from a backup
  kRestore,     // in place
  kKeep,        // a restore in place is left off: what the tenant has stays
  kAbandon,     // a clone or a restore into a new tenant is left off: the tenant goes
  kBackup,
};

// What a tenant's databases begin with, while that is still to be made. See Origin in event.proto.
struct Source {
  bool operator==(const Source&) const = default;
  std::string tenant;
  std::string backup;
  int64_t generation = 0;  // that asked for it; 0: nothing but the migrations
  bool in_place = false;   // the tenant has databases already
};

struct Standing {
  // UNSPECIFIED: there is no such tenant, or no longer. Its generation is kept, so that the id's next tenant goes on
  // from it.
  v1::TenantState state = v1::TENANT_STATE_UNSPECIFIED;
  v1::DesiredState desired = v1::DESIRED_STATE_UNSPECIFIED;
  int64_t generation = 0;
  int64_t provision_generation = 0;
  int64_t create_generation = 0;  // in which the tenant began, or the last one of the id
  // The newest report of each service, as it came.
  std::map<std::string, v1::ServiceStatus> reports;
  // Forgotten once every service has followed it; one in place also when another change overtakes it.
  Source origin;
};

// The names of the configured services, sorted.
using Services = std::span<const std::string>;

// Applies `change` to the tenant `id` (for messages only). False: there is nothing to change, e.g. suspending a
// suspended tenant. `source`: of a clone or restore, its tenant or backup. TENANT_EXISTS, TENANT_NOT_FOUND,
// TENANT_DELETED; TENANT_NOT_READY for the backup of a tenant that CheckComplete() refuses.
absl::StatusOr<bool> ApplyChange(Standing& standing, std::string_view id, Change change, Services services,
                                 const Source& source = {});

// OK if each service has made its database, so that there is something to copy; TENANT_NOT_READY names the first that
// has not. Of a tenant that exists and is not deleted: else TENANT_NOT_FOUND, TENANT_DELETED.
absl::Status CheckComplete(const Standing& standing, std::string_view id, Services services);

// An announced tenant is refused: an id that never had a tenant becomes one whose tenant is purged, at generation 1, so
// that whoever acted on the announcement is told to remove it. False if the id has a generation: the services know of
// it.
bool RefuseAnnouncement(Standing& standing);

// Applies what a service says of the tenant; of a purged one only that it is REMOVED there, from a service that was not
// configured during the purge. False if that changes nothing: it speaks of an older generation than the
// instances have to follow or than the service has reported already, of one that does not exist, or of a service that
// is not configured; or it was overtaken on its way by a newer report on the same generation.
bool ApplyReport(Standing& standing, const v1::ServiceStatus& report, Services services);

// Computes the state anew, for when the configured services are others than before. True if it moved.
bool Reconsider(Standing& standing, Services services);

// What can be said of a service now: its report, or PENDING if that is too old.
v1::ServiceStatus CurrentStatus(const Standing& standing, const std::string& service);

// How far the services are with what is wanted.
struct Progress {
  int done = 0;
  int total = 0;
  std::string message;  // what is waited for; empty when settled
  std::vector<v1::ServiceProgress> services;
  bool settled() const { return done == total; }
};
// `since`: what was reported on an older generation does not count.
Progress ProgressOf(const Standing& standing, Services services, int64_t since = 0);
// "core failed: … (attempt 2); another attempt follows; waiting for employee, identity".
std::string ProgressMessage(std::span<const std::string> failed, std::span<const std::string> waiting);

// Why the tenant is not ACTIVE, in one sentence; empty when it is.
std::string MessageOf(const Standing& standing, Services services);

}  // namespace leasehold::gateway
