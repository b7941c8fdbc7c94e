// Whether a process is to be sent clients, which is another question than whether it is ready: for balancers and
// Kubernetes' readiness probes.
#pragma once

#include <atomic>

#include "common/daemon/daemon.h"

namespace leasehold {

// Any thread. What a process cannot do without is mostly what all its replicas share: when that fails, all of them are
// not ready at once, and a balancer that went by it would also turn away those whom they still could serve.
class Serving {
 public:
  // `health` outlives it.
  explicit Serving(const Health& health) : health_(health) {}

  // From the first call that found it ready on, until End(). To be asked often, as a timer does.
  bool Now() {
    if (ended_) return false;
    if (!begun_ && health_.Ready()) begun_ = true;
    return begun_;
  }
  void End() { ended_ = true; }

 private:
  const Health& health_;
  std::atomic<bool> begun_ = false;
  std::atomic<bool> ended_ = false;
};

}  // namespace leasehold
