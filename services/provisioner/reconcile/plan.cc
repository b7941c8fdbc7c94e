#include "services/provisioner/reconcile/plan.h"

namespace leasehold::provisioner {
namespace {

bool IsOurs(const std::optional<ObservedRole>& role, const TenantRecord& record) {
  return role.has_value() && role->mark == MarkOf(record.database_id);
}

bool IsInPlace(const TenantRecord& record, const ObservedTenant& observed, bool may_log_in) {
  return observed.database.has_value() && observed.database->mark == MarkOf(record.database_id) &&
         observed.database->valid && !observed.database->open_to_public && IsOurs(observed.owner, record) &&
         IsOurs(observed.read_only, record) && observed.owner->can_login == may_log_in &&
         observed.read_only->can_login == may_log_in;
}

bool Reached(const TenantRecord& record, v1::ServiceState state) {
  return record.state == state && record.state_generation == record.generation;
}

bool CanLogIn(const std::optional<ObservedRole>& role, const TenantRecord& record) {
  return IsOurs(role, record) && role->can_login;
}

}  // namespace

Work WorkFor(const TenantRecord& record, const ObservedTenant& observed, const Standard& standard) {
  const bool key_is_current = record.role_key == standard.role_key;
  const bool open = CanLogIn(observed.owner, record) || CanLogIn(observed.read_only, record);
  const Work unconfirmed = open ? Work::kShut : Work::kNone;
  if (record.desired != v1::DESIRED_STATE_ABSENT && IsOutlived(record)) {
    return record.confirmed ? Work::kReplace : unconfirmed;
  }
  switch (record.desired) {
    case v1::DESIRED_STATE_PRESENT:
      return Reached(record, v1::SERVICE_STATE_READY) && IsInPlace(record, observed, true) && key_is_current &&
                     record.schema_version == standard.schema_version
                 ? Work::kNone
                 : Work::kPresent;
    case v1::DESIRED_STATE_CLOSED:
      return Reached(record, v1::SERVICE_STATE_CLOSED) && IsInPlace(record, observed, false) && key_is_current
                 ? Work::kNone
                 : Work::kClosed;
    case v1::DESIRED_STATE_ABSENT:
      if (!record.confirmed) return unconfirmed;
      return Reached(record, v1::SERVICE_STATE_REMOVED) ? Work::kNone : Work::kAbsent;
    default:
      return Work::kNone;
  }
}

bool IsLost(const TenantRecord& record, const ObservedTenant& observed) {
  const bool wanted = record.desired == v1::DESIRED_STATE_PRESENT || record.desired == v1::DESIRED_STATE_CLOSED;
  const bool was_finished = record.schema_version.has_value() && record.state != v1::SERVICE_STATE_FAILED;
  return wanted && was_finished && !observed.database.has_value() && !IsOutlived(record);
}

}  // namespace leasehold::provisioner
