// Keeps one component running: a thread that starts it, notices its end, starts it again, and stops it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "services/cli/stack/component.h"
#include "services/cli/stack/state_file.h"

namespace leasehold::stack {

struct KeeperOptions {
  bool restart = true;
  absl::Duration min_backoff = absl::Milliseconds(200);
  absl::Duration max_backoff = absl::Seconds(10);
  // Longer than this without ending, and the next wait is the shortest again.
  absl::Duration steady = absl::Seconds(30);
};

// Any thread.
class Keeper {
 public:
  // On the keeper's thread. `news` is a line for people, or empty.
  using OnChange = std::function<void(const std::string& news)>;

  Keeper(std::unique_ptr<Component> component, KeeperOptions options, OnChange on_change);
  ~Keeper();  // stops and joins

  void Start();
  // How the first start went; nullopt while it is at it, and `on_change` follows. If it failed, nothing of it runs and
  // it is not tried again.
  std::optional<absl::Status> started() const;

  void RequestStop();
  void AwaitStop();

  ComponentState state() const;

 private:
  void Run();
  // True once a stop was requested.
  bool WaitForStop(absl::Duration at_most);
  void Publish(const std::string& state, const std::string& news);

  const std::unique_ptr<Component> component_;  // the keeper's thread only, but for name() and address()
  const KeeperOptions options_;
  const OnChange on_change_;
  std::atomic<bool> stopping_ = false;

  mutable absl::Mutex mu_;
  ComponentState state_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Status> started_ ABSL_GUARDED_BY(mu_);
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace leasehold::stack
