// What the registry does by the clock: its schema at the start, due purges, old rows, gauges, and its health. Every
// gateway runs one; they share the work.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/clock/clock.h"
#include "common/daemon/daemon.h"
#include "common/postgres/postgres.h"
#include "common/postgres/wait_watch.h"
#include "common/telemetry/metrics.h"
#include "services/gateway/audit/recorder.h"
#include "services/gateway/registry/pulse.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {

class Upkeep {
 public:
  // All outlive it; `audit` may be null. `connect`: as `pool`'s. `on_tick` runs on its thread, after each look that
  // found PostgreSQL well. Reports as component "registry".
  Upkeep(Store& store, postgres::ConnectionPool& pool, const postgres::ConnectOptions& connect, absl::Duration tick,
         Metrics& metrics, Health& health, AuditRecorder* audit, std::function<void()> on_tick);
  ~Upkeep();  // joins

 private:
  void Run();
  absl::Status Prepare();  // schema, states
  absl::Status Look();
  absl::Status Count();
  absl::Status CountByService();
  void Report(const absl::Status& looked) ABSL_LOCKS_EXCLUDED(mu_);
  // What the registry's statements wait for without an answer; "": nothing more.
  void NoteWait(const std::string& what) ABSL_LOCKS_EXCLUDED(mu_);

  Store& store_;
  postgres::ConnectionPool& pool_;
  const absl::Duration tick_;
  Health& health_;
  AuditRecorder* const audit_;
  const std::function<void()> on_tick_;
  std::map<v1::TenantState, prometheus::Gauge*> tenants_;
  prometheus::Gauge& outbox_;
  prometheus::Gauge& outbox_age_;
  struct OfService {
    std::map<v1::ServiceState, prometheus::Gauge*> tenants;
    prometheus::Gauge* last_pass = nullptr;
  };
  std::map<std::string, OfService> services_;
  Pulse pulse_;
  bool prepared_ = false;  // the thread's own, as what follows
  std::optional<bool> healthy_;
  int looks_ = 0;
  absl::Mutex mu_;
  absl::Status waits_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
  postgres::WaitWatch wait_watch_;
};

}  // namespace leasehold::gateway
