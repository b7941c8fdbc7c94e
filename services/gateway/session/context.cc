#include "services/gateway/session/context.h"

namespace leasehold::gateway {
namespace {

constexpr char kBytesHelp[] = "Bytes relayed, by direction as seen from the gateway's clients.";

// Few and fixed, whatever PostgreSQL or a client comes up with.
const char* OutcomeOf(std::string_view sqlstate) {
  if (sqlstate.empty()) return "ok";
  if (sqlstate == "28P01") return "bad_credentials";
  if (sqlstate == "28000") return "lease_ended";
  if (sqlstate == "42501") return "not_allowed";
  if (sqlstate == "25001") return "in_transaction";
  if (sqlstate == "3D000") return "not_found";
  if (sqlstate == "53300") return "exhausted";
  if (sqlstate == "08006" || sqlstate == "57P03" || sqlstate == "55000") return "unavailable";
  return "refused";
}

}  // namespace

void ClientCount::Add() {
  absl::MutexLock lock(&mu_);
  fast_count_ = ++count_;
}

void ClientCount::Remove() {
  absl::MutexLock lock(&mu_);
  fast_count_ = --count_;
}

bool ClientCount::AwaitNone(absl::Duration patience) const {
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(+[](const int* count) { return *count == 0; }, &count_), patience);
}

SessionMetrics::SessionMetrics(Metrics& metrics)
    : sessions(metrics.Gauge("leasehold_sql_sessions", "SQL clients connected.")),
      bytes_in(metrics.Counter("leasehold_sql_bytes_total", kBytesHelp, {{"direction", "in"}})),
      bytes_out(metrics.Counter("leasehold_sql_bytes_total", kBytesHelp, {{"direction", "out"}})),
      metrics_(metrics),
      logins_(LoginsThat("ok")),
      switches_(SwitchesThat("ok")),
      transaction_seconds_(
          metrics.Seconds("leasehold_sql_transaction_seconds",
                          "From a transaction's first message, with its wait for a server, to its end.")) {}

prometheus::Counter& SessionMetrics::LoginsThat(const char* outcome) {
  return metrics_.Counter("leasehold_sql_logins_total", "Log-ins by outcome.", {{"outcome", outcome}});
}

prometheus::Counter& SessionMetrics::SwitchesThat(const char* outcome) {
  return metrics_.Counter("leasehold_sql_switches_total", "Switches by outcome.", {{"outcome", outcome}});
}

void SessionMetrics::CountLogin(std::string_view sqlstate) {
  (sqlstate.empty() ? logins_ : LoginsThat(OutcomeOf(sqlstate))).Increment();
}

void SessionMetrics::CountSwitch(std::string_view sqlstate) {
  (sqlstate.empty() ? switches_ : SwitchesThat(OutcomeOf(sqlstate))).Increment();
}

LoginTarget TargetOf(const Route& route) {
  return {.database = route.database,
          .role = route.role,
          .database_id = route.database_id,
          .kind = route.read_only ? RoleKind::kReadOnly : RoleKind::kOwner,
          .tenant = route.tenant ? route.tenant->str() : ""};
}

}  // namespace leasehold::gateway
