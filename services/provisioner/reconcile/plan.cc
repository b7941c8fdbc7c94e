#include "services/provisioner/reconcile/plan.h"

namespace leasehold::provisioner {
namespace {

bool IsOurs(const std::optional<ObservedRole>& role, const TenantRecord& record) {
  return role.has_value() && role->mark == MarkOf(record.database_id);
}

// What the login may not change is for somebody else to repair, and no reason to try again and again.
bool NeedsRepair(const ObservedDatabase& database) {
  return database.may_alter &&
         (!database.other_owner.empty() || !database.surplus.empty() || !database.lacking.empty());
}
bool NeedsRepair(const ObservedRole& role) {
  return role.may_restore && (!role.powers.empty() || !role.members.empty() || !role.belongs_to.empty());
}

bool IsInPlace(const TenantRecord& record, const ObservedTenant& observed, bool may_log_in) {
  return observed.database.has_value() && observed.database->mark == MarkOf(record.database_id) &&
         observed.database->valid && !observed.database->open_to_public && IsOurs(observed.owner, record) &&
         IsOurs(observed.read_only, record) && observed.owner->can_login == may_log_in &&
         observed.read_only->can_login == may_log_in && !NeedsRepair(*observed.database) &&
         !NeedsRepair(*observed.owner) && !NeedsRepair(*observed.read_only);
}

bool NeedsVersion(const TenantRecord& record, const Standard& standard) {
  return standard.migrates_in_place ? record.schema_version != standard.schema_version
                                    : !record.schema_version.has_value();
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
  if (!record.fill_database_id.empty() &&
      (!AwaitsOrigin(record) || record.fill_generation != record.origin.generation)) {
    return Work::kDiscard;
  }
  if (record.desired != v1::DESIRED_STATE_ABSENT && IsOutlived(record)) {
    return record.confirmed ? Work::kReplace : unconfirmed;
  }
  if (AwaitsOrigin(record)) {
    // It takes the place of the database that is there, for which an event alone is not enough.
    return record.database_id.empty() || record.confirmed ? Work::kFill : Work::kNone;
  }
  switch (record.desired) {
    case v1::DESIRED_STATE_PRESENT:
      if (!IsInPlace(record, observed, true) || !key_is_current || NeedsVersion(record, standard)) {
        return Work::kPresent;
      }
      if (record.state == v1::SERVICE_STATE_FAILED) return Work::kPresent;
      return Reached(record, v1::SERVICE_STATE_READY) ? Work::kNone : Work::kSettle;
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
  const bool was_finished = record.schema_version.has_value();
  return wanted && was_finished && !observed.database.has_value() && !IsOutlived(record) && !AwaitsOrigin(record);
}

}  // namespace leasehold::provisioner
