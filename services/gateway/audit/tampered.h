#pragma once

#include "common/telemetry/metrics.h"

namespace leasehold::gateway {

// One for whoever comes upon it.
inline prometheus::Counter& TamperedCounter(Metrics& metrics) {
  return metrics.Counter("leasehold_audit_tampered_total",
                         "Times that this gateway has found the trail's records not as they were written");
}

}  // namespace leasehold::gateway
