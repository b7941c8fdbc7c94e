// What every daemon tells of itself on /metrics: which Leasehold it is, how what it stands on is, and the figures of
// its process under the names that Prometheus' own clients use.
#pragma once

#include "common/daemon/daemon.h"
#include "common/telemetry/metrics.h"

namespace leasehold {

// Until the handle goes. `health` and `metrics` outlive it.
[[nodiscard]] Metrics::Handle AddDaemonMetrics(const Health& health, Metrics& metrics);

}  // namespace leasehold
