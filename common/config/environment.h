// The variables that stand above the file.
#pragma once

#include "common/config/config.h"

namespace leasehold::config {

// LEASEHOLD_GATEWAY, LEASEHOLD_SQL, LEASEHOLD_HTTP, LEASEHOLD_NATS, LOG_DB_QUERIES, and over the entry of every service
// DISTRIBUTED_MAX_CONNECTIONS, DISTRIBUTED_CONNECTION_TIMEOUT, DB_HEALTH_CHECK_INTERVAL and DB_HEALTH_CHECK_TIMEOUT.
// Times without a unit are seconds, as in the frameworks that these names come from. INVALID_FIELD names the variable.
absl::Status ApplyEnvironment(v1::Config& config, const Environment& env);

}  // namespace leasehold::config
