// Asks a daemon's HTTP port how it is. Blocks for at most a second.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/config/config.h"

namespace leasehold {

// The PEM files that a daemon serves HTTP with; empty: it does so in clear. They are shown to it as a client's too, for
// /healthz may want a certificate. Whose the daemon's own is, is not asked: these calls are for daemons of this
// machine.
struct HttpFiles {
  std::string certificate = {};
  std::string key = {};
};

// GET /readyz answers 200.
bool IsReady(const HostPort& http, const HttpFiles& files = {});

// The same, with the reason: UNAVAILABLE names what is not ready, or says that nobody answers. For a container's health
// check.
absl::Status CheckReady(const HostPort& http, const HttpFiles& files = {});

// From GET /healthz: "nats: not connected, registry: …"; empty if nobody answers or nothing fails.
std::string WhatIsMissing(const HostPort& http, const HttpFiles& files = {});

// The same from the answer's body.
std::string FailingComponents(const std::string& health_json);

}  // namespace leasehold
