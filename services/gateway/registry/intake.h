// What JetStream brings to the registry: tenants that other services announce, and what provisioners report. One
// message at a time; each is acknowledged after its effect is committed. Blocks; called by a PullLoop.
#pragma once

#include "common/jetstream/jetstream.h"
#include "common/telemetry/metrics.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {

// The durable consumer's name on both streams, and who parks.
inline constexpr std::string_view kIntakeName = "registry";

// tenants.>: a `created` event without a generation makes the tenant if it is absent (suspended if `isActive` is
// false). The gateways' own events pass. What cannot be understood or accepted is parked on
// `provisioning.dead.registry`.
class TenantIntake {
 public:
  TenantIntake(Store& store, jetstream::Client& nats, Metrics& metrics);
  absl::Status Handle(jetstream::Message& message);
  static jetstream::ConsumerOptions Consumer();

 private:
  absl::Status Park(jetstream::Message& message, const absl::Status& reason);

  Store& store_;
  jetstream::Client& nats_;
  prometheus::Counter& created_;
  prometheus::Counter& present_;
  prometheus::Counter& own_;
  prometheus::Counter& retried_;
  prometheus::Counter& parked_;
  prometheus::Counter& parked_total_;
};

// provisioning.<service>.<id>.<what>: reports. One on a tenant that the registry does not know waits for it a while,
// for its creation may still be on its way.
class ReportIntake {
 public:
  ReportIntake(Store& store, jetstream::Client& nats, Metrics& metrics);
  absl::Status Handle(jetstream::Message& message);
  static jetstream::ConsumerOptions Consumer();

 private:
  absl::Status Park(jetstream::Message& message, const absl::Status& reason);

  Store& store_;
  jetstream::Client& nats_;
  prometheus::Counter& applied_;
  prometheus::Counter& stale_;
  prometheus::Counter& unknown_;
  prometheus::Counter& retried_;
  prometheus::Counter& parked_;
  prometheus::Counter& parked_total_;
};

}  // namespace leasehold::gateway
