// How late events are taken up, and how many have to come again: of one stream, as its consumer in this process sees
// it.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "common/jetstream/jetstream.h"
#include "common/telemetry/metrics.h"

namespace leasehold::events {

// Any thread.
class IntakeMetrics {
 public:
  IntakeMetrics(Metrics& metrics, const std::string& stream);

  // It is dealt with: acknowledged, or never to come again. `now`: by a clock that agrees with the server's.
  void Settled(const jetstream::Message& message, absl::Time now);
  // It is to come again.
  void Postponed(const jetstream::Message& message) { Count(message); }

 private:
  void Count(const jetstream::Message& message);

  prometheus::Histogram& lag_;
  prometheus::Counter& redelivered_;
};

}  // namespace leasehold::events
