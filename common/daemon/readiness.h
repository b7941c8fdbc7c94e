// Asks a daemon's HTTP port how it is. Blocks for at most a second.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/config/config.h"

namespace leasehold {

// GET /readyz answers 200.
bool IsReady(const HostPort& http);

// The same, with the reason: UNAVAILABLE names what is not ready, or says that nobody answers. For a container's health
// check.
absl::Status CheckReady(const HostPort& http);

// From GET /healthz: "nats: not connected, registry: …"; empty if nobody answers or nothing fails.
std::string WhatIsMissing(const HostPort& http);

// The same from the answer's body.
std::string FailingComponents(const std::string& health_json);

}  // namespace leasehold
