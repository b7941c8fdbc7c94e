// The trail as it is asked for: filtered, and checked. Everything blocks; one transaction each.
#pragma once

#include "absl/status/statusor.h"
#include "common/postgres/postgres.h"
#include "leasehold/v1/audit.pb.h"

namespace leasehold::gateway {

// As AuditService documents them. Requests are checked here.
absl::StatusOr<v1::ListAuditEventsResponse> ListAuditEvents(postgres::Transaction& tx,
                                                            const v1::ListAuditEventsRequest& request);
absl::StatusOr<v1::VerifyAuditResponse> VerifyAudit(postgres::Transaction& tx, const v1::VerifyAuditRequest& request);

}  // namespace leasehold::gateway
