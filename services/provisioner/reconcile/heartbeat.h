// Says something to the instance every kHeartbeat, so that the service's other provisioners see that this process lives
// (steps/silent_holder.h), whatever its workers wait for; and notices an instance that stands still, for which these
// would wait without a word.
#pragma once

#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/postgres/postgres.h"

namespace leasehold::provisioner {

class Heartbeat {
 public:
  struct Handlers {
    // After each beat; `after_silence`: on_silence was called for it.
    std::function<void(const absl::Status& answer, bool after_silence)> on_beat;
    // The instance has not answered a beat for so long; once for each, while it still does not.
    std::function<void()> on_silence;
    absl::Duration patience = absl::Seconds(5);
  };
  // On a connection and two threads of its own, until it is destroyed; handlers run on either, and may block.
  Heartbeat(postgres::ConnectOptions options, Handlers handlers);
  ~Heartbeat();

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  void Watch() ABSL_LOCKS_EXCLUDED(mu_);

  postgres::Connection connection_;
  const Handlers handlers_;
  absl::Mutex mu_;
  bool asking_ ABSL_GUARDED_BY(mu_) = false;
  bool silent_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread beating_;
  std::thread watching_;
};

}  // namespace leasehold::provisioner
