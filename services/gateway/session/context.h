// What the sessions of one endpoint share.
#pragma once

#include <asio/ssl/context.hpp>
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/telemetry/metrics.h"
#include "services/gateway/lease/authority.h"
#include "services/gateway/pool/instance_pool.h"
#include "services/gateway/session/cancel_keys.h"
#include "services/gateway/session/verifier_cache.h"

namespace leasehold::gateway {

// Any thread.
class SessionMetrics {
 public:
  explicit SessionMetrics(Metrics& metrics);

  prometheus::Gauge& sessions;
  prometheus::Counter& bytes_in;   // from clients
  prometheus::Counter& bytes_out;  // to clients
  // `sqlstate`: of the refusal; empty: done.
  void CountLogin(std::string_view sqlstate);
  void CountSwitch(std::string_view sqlstate);
  // A statement or a batch was answered; `status`: ReadyForQuery's.
  void CountTransaction(char status, absl::Duration took) {
    if (status == 'I') transaction_seconds_.Observe(absl::ToDoubleSeconds(took));
  }

 private:
  prometheus::Counter& LoginsThat(const char* outcome);
  prometheus::Counter& SwitchesThat(const char* outcome);

  Metrics& metrics_;
  prometheus::Counter& logins_;  // that succeeded: looking one up takes as long as a switch
  prometheus::Counter& switches_;
  prometheus::Histogram& transaction_seconds_;
};

// Clients that are connected, from accept until their connection is closed. Any thread.
class ClientCount {
 public:
  void Add();
  void Remove();
  int count() const { return fast_count_.load(std::memory_order_relaxed); }
  // False: there still were some after `patience`.
  bool AwaitNone(absl::Duration patience) const;

 private:
  mutable absl::Mutex mu_;
  int count_ ABSL_GUARDED_BY(mu_) = 0;
  std::atomic<int> fast_count_ = 0;
};

// One of them.
class ClientTicket {
 public:
  explicit ClientTicket(ClientCount& count) : count_(count) { count_.Add(); }
  ~ClientTicket() { count_.Remove(); }
  ClientTicket(const ClientTicket&) = delete;
  ClientTicket& operator=(const ClientTicket&) = delete;

 private:
  ClientCount& count_;
};

struct SessionContext {
  LeaseAuthority& authority;
  const Clock& clock;
  SessionMetrics metrics;
  std::map<std::string, std::unique_ptr<InstancePool>> pools;  // by service; constant after the start
  std::unique_ptr<asio::ssl::context> tls;                     // none: SSLRequest is answered with N
  CancelKeys cancel_keys;
  VerifierCache verifiers;
  int max_clients = 0;
  absl::Duration login_timeout;
  bool log_queries = false;
  ClientCount clients;
  std::atomic<bool> draining = false;
};

LoginTarget TargetOf(const Route& route);

}  // namespace leasehold::gateway
