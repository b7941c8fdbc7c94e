// What lets callers in, made from the configuration: its files, which are read again when they change, and the gate.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "common/clock/clock.h"
#include "common/daemon/reloader.h"
#include "common/telemetry/metrics.h"
#include "leasehold/v1/config.pb.h"
#include "services/gateway/authn/authenticator.h"
#include "services/gateway/gate/gate.h"

namespace leasehold::gateway {

class Callers {
 public:
  // INVALID_FIELD names the setting whose file cannot be used.
  static absl::Status Check(const v1::GatewayConfig& config);
  // The same of what it makes. References outlive it.
  static absl::StatusOr<std::unique_ptr<Callers>> Make(const v1::Config& config, TenantDirectory& directory,
                                                       const LeaseBook& book, const Clock& clock, Metrics& metrics);

  Gate& gate() { return gate_; }
  // From now on changed files are taken up.
  void Start() { reloader_.Start(); }

 private:
  Callers(const v1::Config& config, TenantDirectory& directory, const LeaseBook& book, const Clock& clock,
          Metrics& metrics);
  Authenticator authenticator_;
  Gate gate_;
  Reloader reloader_;
};

}  // namespace leasehold::gateway
