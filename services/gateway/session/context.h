// What the sessions of one endpoint share.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/daemon/descriptors.h"
#include "common/telemetry/metrics.h"
#include "common/tls/live_credentials.h"
#include "services/gateway/audit/recorder.h"
#include "services/gateway/lease/authority.h"
#include "services/gateway/pool/instance_pool.h"
#include "services/gateway/session/cancel_keys.h"
#include "services/gateway/session/query_log.h"
#include "services/gateway/session/verifier_cache.h"

namespace leasehold::gateway {

// Log-ins and switches by how they ended. Any thread.
class SessionMetrics {
 public:
  explicit SessionMetrics(Metrics& metrics);

  // `sqlstate`: of the refusal; empty: done.
  void CountLogin(std::string_view sqlstate) { logins_[OutcomeOf(sqlstate)]->Increment(); }
  void CountSwitch(std::string_view sqlstate) { switches_[OutcomeOf(sqlstate)]->Increment(); }

 private:
  // Few and fixed, whatever PostgreSQL or a client comes up with.
  static constexpr std::array<const char*, 10> kOutcomes = {
      "ok",        "bad_credentials", "lease_ended", "not_allowed", "in_transaction",
      "not_found", "exhausted",       "unavailable", "not_ready",   "refused"};
  static size_t OutcomeOf(std::string_view sqlstate);

  std::array<prometheus::Counter*, kOutcomes.size()> logins_;
  std::array<prometheus::Counter*, kOutcomes.size()> switches_;
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
  const std::shared_ptr<const tls::LiveCredentials> tls;       // null: SSLRequest is answered with N
  const bool require_tls = false;
  CancelKeys cancel_keys;
  VerifierCache verifiers;
  int max_clients = 0;
  const DescriptorBudget descriptors;
  absl::Duration login_timeout;
  QueryLog query_log;
  AuditRecorder* audit = nullptr;  // none: nothing is recorded
  ClientCount clients;
  std::atomic<bool> draining = false;
};

LoginTarget TargetOf(Route route);

// What a log-in hears that the gateway's stop has overtaken. By PostgreSQL's own code for that a client that knows of
// other hosts goes on to the next.
pgwire::ErrorFields TakesNoMoreClients();

}  // namespace leasehold::gateway
