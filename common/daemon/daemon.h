// What every daemon needs around its parts: signals, health, an HTTP port for both.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/config/config.h"
#include "common/telemetry/metrics.h"

namespace leasehold {

// Blocks SIGTERM and SIGINT in the calling thread and all threads made after; construct first in main().
class SignalWaiter {
 public:
  SignalWaiter();
  // Blocks until one of them arrives (or Wake() was called); returns its number, 0 for Wake().
  int Wait();
  // Any thread.
  void Wake();

 private:
  int wake_fd_ = -1;
};

// What the daemon stands on, by name ("registry", "nats", "instance/identity"). Any thread.
class Health {
 public:
  explicit Health(const Clock& clock) : clock_(clock) {}
  // OK or what is wrong (client-safe text is shown). A component starts as unknown = not ready.
  void Set(const std::string& component, const absl::Status& status);
  // A component that must be OK for /readyz.
  void Require(const std::string& component);
  bool Ready() const;
  // {"status":"ok|failing","components":{"nats":{"status":"ok","since":"…","error":"…"}}}
  std::string Json() const;

 private:
  struct Component {
    bool known = false;
    bool required = false;
    absl::Status status;
    absl::Time since;
  };
  const Clock& clock_;
  mutable absl::Mutex mu_;
  std::map<std::string, Component> components_ ABSL_GUARDED_BY(mu_);
};

// GET /livez, /readyz (200 or 503), /healthz (JSON), /metrics. More handlers can be added before Start().
class HttpEndpoint {
 public:
  HttpEndpoint(const Health& health, const Metrics& metrics);
  ~HttpEndpoint();
  // `listen`: host:port. FAILED_PRECONDITION says what is in the way.
  absl::Status Start(const HostPort& listen);
  void Stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace leasehold
