// Something the daemon stands on (instance, NATS, gateway): whoever uses it notes how that went; Health and the log
// hear of changes only.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/daemon/daemon.h"

namespace leasehold::provisioner {

// Any thread.
class Dependency {
 public:
  // `on_recovered` is called, on the thread that noted it, when it works again after it did not.
  Dependency(Health& health, std::string component, std::function<void()> on_recovered = {});

  void Note(const absl::Status& status);

 private:
  Health& health_;
  const std::string component_;
  const std::function<void()> on_recovered_;
  absl::Mutex mu_;
  std::optional<absl::Status> last_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leasehold::provisioner
