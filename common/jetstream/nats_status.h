// natsStatus at nats.c's border.
#pragma once

#include <nats/nats.h>

#include <string_view>

#include "absl/status/status.h"

namespace leasehold::jetstream {

// What every call answers while there is no connection: NATS_UNAVAILABLE, worth another try in a second.
absl::Status NatsUnavailable();

// `doing` says what failed, for the log. Must run on the thread of the failed call, right after it: nats.c keeps the
// details there. A lost connection, a time-out and a JetStream that is not ready are NATS_UNAVAILABLE; a stream or
// consumer that does not exist is NOT_FOUND; anything else is a defect or a server set up wrongly, and so INTERNAL
// without client-safe text.
absl::Status ToStatus(natsStatus status, std::string_view doing, jsErrCode code = {});

}  // namespace leasehold::jetstream
