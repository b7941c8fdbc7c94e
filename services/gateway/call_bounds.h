// Closes gRPC connections that have too many calls open. HTTP/2 has a bound of its own,
// SETTINGS_MAX_CONCURRENT_STREAMS, but gRPC (1.51) holds only those clients to it that say they have heard of it
// (docs/adr/0033-calls-of-a-connection.md).
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>

#include <atomic>
#include <cstdint>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "common/telemetry/metrics.h"
#include "common/telemetry/seldom.h"

namespace leasehold::gateway {

struct CallLimits {
  int64_t per_connection = 0;  // beyond which a connection is closed
  int64_t total = 0;           // beyond which those with the most are
};

class CallBounds {
 public:
  // Watches the gRPC servers of this process, on a thread of its own, until it goes.
  CallBounds(const CallLimits& limits, Metrics& metrics);
  ~CallBounds();
  CallBounds(const CallBounds&) = delete;
  CallBounds& operator=(const CallBounds&) = delete;

  // More calls are open than may be: who was closed may have come back before its calls were given back. Any thread.
  bool full() const { return full_.load(std::memory_order_relaxed); }

 private:
  void Look(absl::Time now);
  // Of each connection; `all`: what the server counts. Takes some 50 µs a connection, and so is not for each look.
  void LookClosely(absl::Time now, int64_t all);

  const CallLimits limits_;
  prometheus::Gauge& open_;
  prometheus::Counter& closed_;
  // When the connections were looked at last: how many calls there were, and until when that will do.
  int64_t known_open_ = 0;
  absl::Time known_until_ = absl::InfinitePast();
  std::atomic<bool> full_ = false;
  // Calls that gRPC has never counted as ended, one or so for each connection that is reset, though they are gone.
  int64_t lost_ = 0;
  absl::Time closed_time_ = absl::InfinitePast();  // when a connection was closed last
  bool closed_some_ = false;                       // and their memory has not been given back yet
  Seldom said_;
  absl::Notification stop_;
  std::thread thread_;
};

}  // namespace leasehold::gateway
