#include "common/events/intake_metrics.h"

#include <algorithm>

namespace leasehold::events {

IntakeMetrics::IntakeMetrics(Metrics& metrics, const std::string& stream)
    : lag_(metrics.Seconds("leasehold_event_lag_seconds", "From the stream's storing an event to its being dealt with",
                           {{"stream", stream}})),
      redelivered_(metrics.Counter("leasehold_events_redelivered_total", "Deliveries of events that had come before",
                                   {{"stream", stream}})) {}

void IntakeMetrics::Settled(const jetstream::Message& message, absl::Time now) {
  Count(message);
  lag_.Observe(absl::ToDoubleSeconds(std::max(now - message.stored_time(), absl::ZeroDuration())));
}

void IntakeMetrics::Count(const jetstream::Message& message) {
  if (message.deliveries() > 1) redelivered_.Increment();
}

}  // namespace leasehold::events
