#include "services/provisioner/reconcile/heartbeat.h"

#include <utility>

#include "services/provisioner/steps/silent_holder.h"

namespace leasehold::provisioner {

Heartbeat::Heartbeat(postgres::ConnectOptions options, Handlers handlers)
    : connection_(std::move(options)),
      handlers_(std::move(handlers)),
      beating_([this] { Run(); }),
      watching_([this] { Watch(); }) {}

Heartbeat::~Heartbeat() {
  {
    const absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  beating_.join();
  watching_.join();
}

void Heartbeat::Run() {
  bool stopping = false;
  while (!stopping) {
    {
      const absl::MutexLock lock(&mu_);
      asking_ = true;
    }
    // An instance that does not answer hears no other provisioner either.
    const absl::Status answer = connection_.ExecAlone("SELECT 1").status();
    bool after_silence = false;
    {
      const absl::MutexLock lock(&mu_);
      asking_ = false;
      after_silence = std::exchange(silent_, false);
    }
    handlers_.on_beat(answer, after_silence);
    const absl::MutexLock lock(&mu_);
    stopping = mu_.AwaitWithTimeout(absl::Condition(&stopping_), kHeartbeat);
  }
}

void Heartbeat::Watch() {
  while (true) {
    {
      const absl::MutexLock lock(&mu_);
      const auto beats = [this] {
        mu_.AssertReaderHeld();
        return (asking_ && !silent_) || stopping_;
      };
      mu_.Await(absl::Condition(&beats));
      const auto over = [this] {
        mu_.AssertReaderHeld();
        return !asking_ || stopping_;
      };
      if (mu_.AwaitWithTimeout(absl::Condition(&over), handlers_.patience)) {
        if (stopping_) return;
        continue;
      }
      silent_ = true;
    }
    handlers_.on_silence();
  }
}

}  // namespace leasehold::provisioner
