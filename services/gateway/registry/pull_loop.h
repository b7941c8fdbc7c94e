// A durable pull consumer and the thread that works through it, one message after another.
#pragma once

#include <functional>
#include <string>
#include <thread>

#include "common/jetstream/jetstream.h"
#include "services/gateway/registry/pulse.h"

namespace leasehold::gateway {

class PullLoop {
 public:
  // Ack()s, Nak()s or Term()s the message, after its effect is committed. UNAVAILABLE, after Nak(), makes the loop wait
  // before the next one.
  using Handler = std::function<absl::Status(jetstream::Message&)>;

  // `nats` outlives it.
  PullLoop(jetstream::Client& nats, jetstream::ConsumerOptions consumer, Handler handler);
  ~PullLoop();  // joins

 private:
  void Run();

  jetstream::Client& nats_;
  const jetstream::ConsumerOptions options_;
  const Handler handler_;
  Pulse pulse_;
  std::thread thread_;
};

}  // namespace leasehold::gateway
