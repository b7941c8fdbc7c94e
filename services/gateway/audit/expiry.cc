#include "services/gateway/audit/expiry.h"

#include <string>

#include "common/identity/identity.h"

namespace leasehold::gateway {

void RecordExpiry(AuditRecorder& audit, const v1::LeaseRecord& lease) {
  if (!audit.on()) return;
  const absl::StatusOr<LeaseId> id = LeaseId::FromBytes(lease.claims().id());
  const std::string text = id.ok() ? id->str() : "";
  audit.Record({.action = v1::AUDIT_ACTION_LEASE_EXPIRE,
                .principal = lease.principal(),
                .holder = lease.holder(),
                .tenant = lease.claims().tenant(),
                .service = lease.claims().service(),
                .lease = text,
                .subject = lease.claims().connection()});
}

}  // namespace leasehold::gateway
