// What ends without a call.
#pragma once

#include "leasehold/v1/lease.pb.h"
#include "services/gateway/audit/recorder.h"

namespace leasehold::gateway {

// A lease that nobody has renewed, in the name of who acquired it. Any thread.
void RecordExpiry(AuditRecorder& audit, const v1::LeaseRecord& lease);

}  // namespace leasehold::gateway
