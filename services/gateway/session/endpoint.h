// The SQL endpoint: listens, logs clients in, and gives each a session on the loop of its service's pool.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/config/config.h"
#include "common/daemon/descriptors.h"
#include "common/telemetry/metrics.h"
#include "services/gateway/lease/authority.h"
#include "services/gateway/pool/instance_pool.h"
#include "services/gateway/session/context.h"

namespace leasehold::gateway {

// Start() and the destructor from one thread; Pools() from any; Drain() and Stop() from any, but not from a loop.
class SqlEndpoint {
 public:
  struct Options {
    HostPort listen;  // port 0: a free one
    // Threads for sessions and server connections; 0: one per core. A service's are all on one loop, so more loops than
    // services have nothing to do.
    int loops = 0;
    // Threads for what takes long in a log-in (TLS handshakes, SCRAM verifiers), and as many for dialling servers; 0:
    // one per core, at most four.
    int desks = 0;
    // Read with PrepareTls; null: no TLS.
    std::shared_ptr<const tls::LiveCredentials> tls;
    bool require_tls = false;  // a client that asks for none is turned away
    int max_clients = 10'000;
    DescriptorBudget descriptors;                      // of the process: clients beyond it are refused
    absl::Duration login_timeout = absl::Seconds(30);  // from accept to the end of authentication
    bool log_queries = false;                          // statement texts, never bound values; QueryLog from then on
    size_t metrics_tenants = 100;                      // of each service, that the metrics tell of by name
    std::vector<InstanceOptions> instances;            // one per service
    AuditRecorder* audit = nullptr;                    // outlives the endpoint; none: nothing is recorded
  };

  // `authority`, `metrics` and `clock` outlive the endpoint.
  SqlEndpoint(Options options, LeaseAuthority& authority, Metrics& metrics, const Clock& clock);
  ~SqlEndpoint();  // Stop()

  // Of a server's context: which protocol is spoken in it (ALPN).
  static void PrepareTls(SSL_CTX* context);

  // Listens and serves. INVALID_FIELD "gateway.sql_listen".
  absl::Status Start();

  // After Start().
  int port() const { return port_; }
  int clients() const { return context_.clients.count(); }
  // Lives as long as the endpoint.
  QueryLog& query_log() { return context_.query_log; }
  // The pools as they are now, in the order of services. Between Start() and Stop(). `done` once, on a loop, when all
  // have answered: it must not block. A pool whose loop ends meanwhile is left out.
  using PoolsCallback = std::move_only_function<void(std::vector<PoolReport>)>;
  void Pools(PoolsCallback done);

  // Has each instance asked for a sign of life, as InstancePool::AskVitals does. `done` as that of Pools().
  void AskVitals(std::move_only_function<void()> done);

  // No new clients; sessions between transactions end at once with 57P01, the others as soon as their transaction does,
  // and those that are left after `patience` all the same. Blocks until then.
  void Drain(absl::Duration patience);

  // Ends what is left, joins the loops. Idempotent.
  void Stop();

 private:
  class Door;
  class Hall;
  class Switchboard;

  absl::Status Listen();
  // Any thread.
  Hall& NextDesk();
  Hall& HallOf(InstancePool& pool);
  void Report(const ReportScope& scope, PoolsCallback done);
  std::vector<prometheus::MetricFamily> Collect();
  void CloseServers();
  void StopAccepting();

  const Options options_;
  Metrics& metrics_;
  SessionContext context_;
  Metrics::Handle source_;  // while the loops run
  std::vector<std::unique_ptr<Hall>> halls_;
  std::vector<std::unique_ptr<Hall>> desks_;
  std::vector<std::unique_ptr<Switchboard>> switchboards_;
  std::atomic<size_t> desk_turn_ = 0;
  int port_ = 0;
  bool stopped_ = false;
};

}  // namespace leasehold::gateway
