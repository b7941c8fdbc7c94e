// What every daemon needs around its parts: signals, health, an HTTP port for both.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/config/config.h"
#include "common/telemetry/metrics.h"
#include "common/tls/live_credentials.h"

namespace leasehold {

// Blocks SIGTERM and SIGINT in the calling thread and all threads made after; construct first in main(). Also ignores
// SIGPIPE: a peer that went away is an error of the write. The signals stay blocked after it is gone.
class SignalWaiter {
 public:
  SignalWaiter();
  ~SignalWaiter();
  SignalWaiter(const SignalWaiter&) = delete;
  SignalWaiter& operator=(const SignalWaiter&) = delete;

  // Blocks until one of them arrives (or Wake() was called); returns its number, 0 for Wake().
  int Wait();
  // Any thread.
  void Wake();

 private:
  int signal_fd_ = -1;
  int wake_fd_ = -1;
};

// What the daemon stands on, by name ("registry", "nats", "instance/identity"). Any thread.
class Health {
 public:
  explicit Health(const Clock& clock) : clock_(clock) {}
  // OK or what is wrong (client-safe text is shown), and how long it took to answer, if that was measured: the last
  // measurement stays. A component starts as unknown = not ready.
  void Set(const std::string& component, const absl::Status& status,
           std::optional<absl::Duration> latency = std::nullopt);
  // A component that is shown as unknown until something is known of it.
  void Expect(const std::string& component);
  // … and that must be OK for /readyz.
  void Require(const std::string& component);
  bool Ready() const;
  // Of one component; nullopt: unknown.
  std::optional<bool> Well(const std::string& component) const;
  // {"status":"ok|failing","components":{"nats":{"status":"ok|failing|unknown","since":"…","latency_ms":0.4,"error":"…"}}}.
  // The whole is "ok" when Ready(); `since` is when a component last changed between ok and failing. One that is ok and
  // was not has "last_error" and "last_error_time" in place of "error".
  std::string Json() const;

  struct Component {
    bool known = false;
    bool required = false;
    absl::Status status = {};
    absl::Time since = {};
    std::optional<absl::Duration> latency = std::nullopt;
    std::string last_error = {};  // client-safe
    absl::Time last_error_time = {};
  };
  // All of them as they are now, by name.
  std::map<std::string, Component> Look() const;

 private:
  const Clock& clock_;
  mutable absl::Mutex mu_;
  std::map<std::string, Component> components_ ABSL_GUARDED_BY(mu_);
};

// The component that is the PostgreSQL instance of `service`.
inline std::string InstanceComponent(const std::string& service) { return "instance/" + service; }

struct HttpAnswer {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// What strangers may cost an HttpEndpoint: enough for probes and scrapes.
struct HttpLimits {
  int served = 16;                             // connections at a time, a thread each
  int waiting = 48;                            // connections that wait for a thread; more are closed unread
  size_t request_bytes = 16 * 1024;            // then the connection is closed
  absl::Duration patience = absl::Seconds(5);  // for a whole request, and again for taking the whole answer
};

// GET /livez, /readyz (200 or 503), /healthz (JSON, 200 or 503), /metrics; HEAD of the same; nothing else. One request
// a connection. Stop() waits for handlers, not for clients.
class HttpEndpoint {
 public:
  // `tls`: null for none. If it has a CA, whoever asks for more than /livez and /readyz, which name nobody, has to show
  // a certificate of it: 401 else.
  HttpEndpoint(const Health& health, const Metrics& metrics, HttpLimits limits = {},
               std::shared_ptr<const tls::LiveCredentials> tls = nullptr);
  ~HttpEndpoint();
  HttpEndpoint(const HttpEndpoint&) = delete;
  HttpEndpoint& operator=(const HttpEndpoint&) = delete;

  // One more GET, before Start(). `handler` runs on the endpoint's threads, several at once.
  void Handle(const std::string& path, std::function<HttpAnswer()> handler);
  // `listen`: host:port. FAILED_PRECONDITION says what is in the way.
  absl::Status Start(const HostPort& listen);
  void Stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace leasehold
