// Levels of the log as the contract has them.
#pragma once

#include "absl/status/statusor.h"
#include "common/telemetry/log.h"
#include "leasehold/v1/log.pb.h"

namespace leasehold {

v1::LogLevel ToProto(Level level);

// INVALID_FIELD "level" for what is none.
absl::StatusOr<Level> LevelOf(v1::LogLevel level);

}  // namespace leasehold
