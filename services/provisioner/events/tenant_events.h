// The durable consumer of stream TENANTS: each event becomes a recorded desire before it is acknowledged; one that
// cannot be understood is parked and never blocks the next.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "common/clock/clock.h"
#include "common/events/events.h"
#include "common/events/intake_metrics.h"
#include "common/identity/identity.h"
#include "common/jetstream/jetstream.h"
#include "common/telemetry/metrics.h"
#include "services/provisioner/state/records.h"

namespace leasehold::provisioner {

// What an event asks for. nullopt: nothing, it comes from another service (it has no generation) and announces no new
// tenant. MALFORMED_EVENT: its generation or what it desires makes no sense.
absl::StatusOr<std::optional<Desire>> DesireOf(const events::TenantEvent& event);

// The registry has to be asked whether it is so. Services may be allowed to announce tenants, and NATS does not tell
// who published: an event called created is believed of new tenants only. An id that begins anew does so at a higher
// generation, and may destroy what was there, so that the registry's own word is needed anyway.
bool IsHearsay(const events::TenantEvent& event);

class TenantEvents {
 public:
  // Records a desire; the event is acknowledged once it returned OK, and comes again otherwise.
  using Apply = std::function<absl::Status(const TenantId& id, const Desire& desire)>;

  // `replicas`: of the streams, which are made if they are missing. `ask`: the registry, soon; must not block.
  TenantEvents(jetstream::Client& client, ServiceName service, int replicas, Apply apply, std::function<void()> ask,
               Metrics& metrics);
  ~TenantEvents();  // Stop()

  void Start();
  // Returns within about a second; what was fetched and not acknowledged comes again.
  void Stop();

 private:
  void Run();
  absl::Status FetchSome();
  // Not OK if the desire could not be recorded.
  absl::Status Handle(jetstream::Message& message);
  void Park(jetstream::Message& message, const absl::Status& reason);

  jetstream::Client& client_;
  const ServiceName service_;
  const int replicas_;
  const Apply apply_;
  const std::function<void()> ask_;
  events::IntakeMetrics intake_;
  prometheus::Counter& handled_;
  prometheus::Counter& parked_;
  absl::Notification stop_;
  std::unique_ptr<jetstream::PullConsumer> consumer_;
  std::thread thread_;
};

}  // namespace leasehold::provisioner
