// How a message that the registry took from JetStream ends: acknowledged, asked for again, or parked; counted by
// outcome.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/events/intake_metrics.h"
#include "common/jetstream/jetstream.h"
#include "common/telemetry/metrics.h"

namespace leasehold::gateway {

// The durable consumer's name on both streams, and who parks.
inline constexpr std::string_view kIntakeName = "registry";

jetstream::ConsumerOptions IntakeConsumer(std::string_view stream, std::string_view filter_subject);

// One thread. Each call ends the message; what it returns is the handler's answer, not OK if NATS or PostgreSQL should
// be given a moment.
class Disposal {
 public:
  // `nats` and `metrics` outlive it.
  Disposal(std::string_view stream, jetstream::Client& nats, Metrics& metrics);

  // Its effect is committed, or it has none.
  absl::Status Ack(jetstream::Message& message, const std::string& outcome);
  // Never again, and nobody need look at it.
  absl::Status Drop(jetstream::Message& message, const std::string& outcome);
  // It is understood, and its time is still to come.
  absl::Status Later(jetstream::Message& message, absl::Duration delay);
  // On provisioning.dead.registry. If NATS does not take it, it comes again.
  absl::Status Park(jetstream::Message& message, const absl::Status& reason);
  // The registry failed at it: later if it may work then, else parked.
  absl::Status Failed(jetstream::Message& message, const absl::Status& status);

 private:
  void Count(const std::string& outcome);

  const std::string stream_;
  jetstream::Client& nats_;
  Metrics& metrics_;
  events::IntakeMetrics intake_;
  prometheus::Counter& parked_;
};

// The n-th wait for something that will come about by itself.
absl::Duration RetryDelay(uint64_t deliveries);

// Trying again later helps: the registry's PostgreSQL does not answer, or what must be recorded cannot be.
bool MustWait(const absl::Status& status);

}  // namespace leasehold::gateway
