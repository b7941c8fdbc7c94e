// The variables that stand above the file.
#pragma once

#include "common/config/config.h"

namespace leasehold::config {

// LEASEHOLD_GATEWAY, LEASEHOLD_SQL, LEASEHOLD_HTTP, LEASEHOLD_NATS, LOG_DB_QUERIES. INVALID_FIELD names the variable.
absl::Status ApplyEnvironment(v1::Config& config, const Environment& env);

}  // namespace leasehold::config
