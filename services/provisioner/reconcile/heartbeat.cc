#include "services/provisioner/reconcile/heartbeat.h"

#include <utility>

#include "services/provisioner/steps/silent_holder.h"

namespace leasehold::provisioner {

Heartbeat::Heartbeat(postgres::ConnectOptions options, std::function<void()> on_beat)
    : connection_(std::move(options)), on_beat_(std::move(on_beat)), thread_([this] { Run(); }) {}

Heartbeat::~Heartbeat() {
  stop_.Notify();
  thread_.join();
}

void Heartbeat::Run() {
  do {
    // An instance that does not answer hears no other provisioner either.
    (void)connection_.ExecAlone("SELECT 1");
    on_beat_();
  } while (!stop_.WaitForNotificationWithTimeout(kHeartbeat));
}

}  // namespace leasehold::provisioner
