// Carries events from the outbox to the stream TENANTS, in order. Every gateway runs one; whoever holds the outbox's
// lock works, the others look again at the next tick.
#pragma once

#include <atomic>
#include <optional>
#include <thread>

#include "common/clock/clock.h"
#include "common/daemon/daemon.h"
#include "common/jetstream/jetstream.h"
#include "common/postgres/postgres.h"
#include "services/gateway/registry/pulse.h"

namespace leasehold::gateway {

class OutboxRelay {
 public:
  struct Options {
    postgres::ConnectOptions postgres;  // a connection of its own
    int replicas = 1;                   // of the streams
    absl::Duration tick;
  };

  // Makes the streams TENANTS and PROVISIONING, again after NATS was away, and reports that as component "nats";
  // carries events from Begin() on. `nats` and `health` outlive it.
  OutboxRelay(Options options, jetstream::Client& nats, Health& health);
  ~OutboxRelay();  // joins

  // The outbox is there: the registry's schema has been made. Any thread; more than once does no harm.
  void Begin();

  // There may be something to carry. Any thread.
  void Wake() { pulse_.Wake(); }

 private:
  void Run();
  absl::Status EnsureStreams();
  // Publishes what is there. UNAVAILABLE while NATS or PostgreSQL is away.
  absl::Status Drain();
  void Report(const absl::Status& status);

  const Options options_;
  jetstream::Client& nats_;
  Health& health_;
  postgres::Connection connection_;
  Pulse pulse_;
  std::atomic<bool> begun_ = false;
  bool streams_ensured_ = false;  // the thread's own, as what follows
  std::optional<bool> healthy_;
  std::thread thread_;
};

}  // namespace leasehold::gateway
