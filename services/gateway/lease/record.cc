#include "services/gateway/lease/record.h"

#include <utility>

#include "absl/time/time.h"
#include "common/config/config.h"
#include "common/identity/identity.h"
#include "common/status/error.h"

namespace leasehold::gateway {

Merged MergeRecord(v1::LeaseRecord& mine, const v1::LeaseRecord& other) {
  Merged merged;
  // Takes `theirs` if it is greater than `ours`, by the order given.
  const auto later = [&merged](const auto& ours, const auto& theirs, auto take) {
    if (ours < theirs) {
      take();
      merged.mine_changed = true;
    } else if (theirs < ours) {
      merged.other_behind = true;
    }
  };
  later(mine.state(), other.state(), [&] { mine.set_state(other.state()); });
  later(mine.expire_ms(), other.expire_ms(), [&] { mine.set_expire_ms(other.expire_ms()); });
  later(std::pair(mine.switch_ms(), mine.current_tenant()), std::pair(other.switch_ms(), other.current_tenant()), [&] {
    mine.set_switch_ms(other.switch_ms());
    mine.set_current_tenant(other.current_tenant());
  });
  later(mine.holder(), other.holder(), [&] { mine.set_holder(other.holder()); });
  later(mine.principal(), other.principal(), [&] { mine.set_principal(other.principal()); });
  later(std::pair(mine.request_id(), mine.request_hash()), std::pair(other.request_id(), other.request_hash()), [&] {
    mine.set_request_id(other.request_id());
    mine.set_request_hash(other.request_hash());
  });
  return merged;
}

v1::LeaseState StateAt(const v1::LeaseRecord& record, int64_t now_ms) {
  if (record.state() != v1::LEASE_STATE_ACTIVE) return record.state();
  return record.expire_ms() > now_ms ? v1::LEASE_STATE_ACTIVE : v1::LEASE_STATE_EXPIRED;
}

absl::Status StatusOfState(v1::LeaseState state) {
  switch (state) {
    case v1::LEASE_STATE_ACTIVE:
      return absl::OkStatus();
    case v1::LEASE_STATE_RELEASED:
      return Error(v1::REASON_LEASE_RELEASED, "the lease was released");
    case v1::LEASE_STATE_REVOKED:
      return Error(v1::REASON_LEASE_REVOKED, "the lease was revoked");
    default:
      return Error(v1::REASON_LEASE_EXPIRED, "the lease has expired");
  }
}

v1::Lease LeaseOf(const v1::LeaseRecord& record, int sessions) {
  const v1::LeaseClaims& claims = record.claims();
  v1::Lease lease;
  if (const auto id = LeaseId::FromBytes(claims.id()); id.ok()) lease.set_id(id->str());
  lease.set_service(claims.service());
  if (claims.tenant().empty()) {
    lease.set_connection(claims.connection());
  } else {
    lease.set_tenant(claims.tenant());
  }
  lease.set_access(claims.access());
  lease.set_current_tenant(record.current_tenant());
  *lease.mutable_switch_to() = claims.switch_to();
  lease.set_holder(record.holder());
  lease.set_principal(record.principal());
  *lease.mutable_issue_time() = FromTime(absl::FromUnixMillis(claims.issue_ms()));
  *lease.mutable_expire_time() = FromTime(absl::FromUnixMillis(record.expire_ms()));
  lease.set_session(claims.session());
  lease.set_state(record.state());
  lease.set_sessions(sessions);
  return lease;
}

v1::LeaseRecord RecordOf(v1::LeaseClaims claims) {
  v1::LeaseRecord record;
  record.set_expire_ms(claims.expire_ms());
  record.set_current_tenant(claims.tenant());
  record.set_state(v1::LEASE_STATE_ACTIVE);
  *record.mutable_claims() = std::move(claims);
  return record;
}

}  // namespace leasehold::gateway
