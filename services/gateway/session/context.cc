#include "services/gateway/session/context.h"

#include <utility>

#include "common/status/error.h"

namespace leasehold::gateway {
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

SessionMetrics::SessionMetrics(Metrics& metrics) {
  for (size_t i = 0; i < kOutcomes.size(); ++i) {
    const Metrics::Labels outcome = {{"outcome", kOutcomes[i]}};
    logins_[i] = &metrics.Counter("leasehold_sql_logins_total", "Log-ins by outcome.", outcome);
    switches_[i] = &metrics.Counter("leasehold_sql_switches_total", "Switches by outcome.", outcome);
  }
}

size_t SessionMetrics::OutcomeOf(std::string_view sqlstate) {
  if (sqlstate.empty()) return 0;
  if (sqlstate == "28P01") return 1;
  if (sqlstate == "28000") return 2;
  if (sqlstate == "42501") return 3;
  if (sqlstate == "25001") return 4;
  if (sqlstate == "3D000") return 5;
  if (sqlstate == "53300") return 6;
  if (sqlstate == "08006") return 7;
  if (sqlstate == "57P03" || sqlstate == "55000") return 8;  // of the tenant: it is being made, or suspended
  return 9;
}

LoginTarget TargetOf(Route route) {
  return {.database = std::move(route.database),
          .role = std::move(route.role),
          .database_id = std::move(route.database_id),
          .kind = route.read_only ? RoleKind::kReadOnly : RoleKind::kOwner,
          .tenant = route.tenant ? route.tenant->str() : ""};
}

pgwire::ErrorFields TakesNoMoreClients() {
  pgwire::ErrorFields why = pgwire::ToErrorFields(Error(v1::REASON_SHUTTING_DOWN, "the gateway is shutting down"));
  why.code = "57P03";
  return why;
}

}  // namespace leasehold::gateway
