// What JetStream brings to the registry: tenants that other services announce, and what provisioners report. One
// message at a time; each is acknowledged after its effect is committed. Blocks; called by a PullLoop.
#pragma once

#include "common/events/events.h"
#include "common/jetstream/jetstream.h"
#include "common/telemetry/metrics.h"
#include "services/gateway/audit/recorder.h"
#include "services/gateway/registry/disposal.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {

// tenants.>: a `created` event without a generation makes the tenant if it is absent (suspended if `isActive` is
// false); once, however often that event comes within a day. One for an id that is being purged waits for the purge.
// The gateways' own events pass. What cannot be understood or accepted is parked on `provisioning.dead.registry`.
class TenantIntake {
 public:
  // `audit`: where announcements are recorded; may be none.
  TenantIntake(Store& store, jetstream::Client& nats, Metrics& metrics, AuditRecorder* audit);
  absl::Status Handle(jetstream::Message& message);
  static jetstream::ConsumerOptions Consumer();

 private:
  absl::Status Announced(const events::TenantEvent& event, jetstream::Message& message);
  // The registry has a tenant of that id already.
  absl::Status Exists(const TenantId& id, jetstream::Message& message);
  // The announcement of a tenant that the registry will not have.
  absl::Status Refuse(const TenantId& id, const absl::Status& reason, jetstream::Message& message);

  Store& store_;
  AuditRecorder* const audit_;
  Disposal disposal_;
};

// provisioning.<service>.<id>.<what>: reports on tenants and on backups. One on a tenant that the registry does not
// know waits for it a while, for its creation may still be on its way.
class ReportIntake {
 public:
  ReportIntake(Store& store, jetstream::Client& nats, Metrics& metrics);
  absl::Status Handle(jetstream::Message& message);
  static jetstream::ConsumerOptions Consumer();

 private:
  absl::StatusOr<bool> Apply(const TenantId& id, const v1::ProvisioningEvent& event);

  Store& store_;
  Disposal disposal_;
};

}  // namespace leasehold::gateway
