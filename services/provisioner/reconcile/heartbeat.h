// Says something to the instance every kHeartbeat, so that the service's other provisioners see that this process lives
// (steps/silent_holder.h), whatever its workers wait for.
#pragma once

#include <functional>
#include <thread>

#include "absl/synchronization/notification.h"
#include "common/postgres/postgres.h"

namespace leasehold::provisioner {

class Heartbeat {
 public:
  // On a connection and a thread of its own, until it is destroyed. `on_beat` runs on that thread after each.
  Heartbeat(postgres::ConnectOptions options, std::function<void()> on_beat);
  ~Heartbeat();

 private:
  void Run();

  postgres::Connection connection_;
  const std::function<void()> on_beat_;
  absl::Notification stop_;
  std::thread thread_;
};

}  // namespace leasehold::provisioner
