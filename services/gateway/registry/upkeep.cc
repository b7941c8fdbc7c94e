#include "services/gateway/registry/upkeep.h"

#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/gateway/registry/rows.h"
#include "services/gateway/registry/schema.h"

namespace leasehold::gateway {
namespace {

constexpr int kPurgesAtOnce = 50;
// In ticks, of one second by default.
constexpr int kCountEvery = 5;
// An event is carried in milliseconds, and after a failure tried again within some seconds.
constexpr absl::Duration kOutboxPatience = absl::Seconds(15);
constexpr int kCountServicesEvery = 15;
constexpr int kForgetEvery = 300;
constexpr absl::Duration kMinBackoff = absl::Milliseconds(250);
constexpr absl::Duration kMaxBackoff = absl::Seconds(5);

template <typename State>
void Show(const std::map<State, int64_t>& counts, const std::map<State, prometheus::Gauge*>& gauges) {
  for (const auto& [state, gauge] : gauges) {
    const auto count = counts.find(state);
    gauge->Set(count == counts.end() ? 0 : static_cast<double>(count->second));
  }
}

std::string LabelOf(v1::ServiceState state) {
  return absl::AsciiStrToLower(absl::StripPrefix(v1::ServiceState_Name(state), "SERVICE_STATE_"));
}

}  // namespace

Upkeep::Upkeep(Store& store, postgres::ConnectionPool& pool, const postgres::ConnectOptions& connect,
               absl::Duration tick, Metrics& metrics, Health& health, AuditRecorder* audit,
               std::function<void()> on_tick)
    : store_(store),
      pool_(pool),
      tick_(tick),
      health_(health),
      audit_(audit),
      on_tick_(std::move(on_tick)),
      outbox_(metrics.Gauge("leasehold_outbox_depth", "Events that wait for JetStream")),
      outbox_age_(
          metrics.Gauge("leasehold_outbox_age_seconds", "How long the oldest of them has waited; 0: there is none")),
      wait_watch_(connect, [this](const std::string& what) { NoteWait(what); }) {
  for (int state = v1::TENANT_STATE_PROVISIONING; state <= v1::TENANT_STATE_PURGING; ++state) {
    const auto typed = static_cast<v1::TenantState>(state);
    tenants_[typed] = &metrics.Gauge("leasehold_tenants", "Tenants by state", {{"state", rows::Text(typed)}});
  }
  for (const std::string& service : store_.services()) {
    OfService& its = services_[service];
    for (int state = v1::SERVICE_STATE_PENDING; state <= v1::SERVICE_STATE_REMOVED; ++state) {
      const auto typed = static_cast<v1::ServiceState>(state);
      its.tenants[typed] = &metrics.Gauge("leasehold_service_tenants", "Tenants by what each service has made of them",
                                          {{"service", service}, {"state", LabelOf(typed)}});
    }
    its.last_pass = &metrics.Gauge("leasehold_service_last_pass_timestamp_seconds",
                                   "When a provisioner last compared all its tenants, in Unix time; 0: never",
                                   {{"service", service}});
  }
  thread_ = std::thread([this] { Run(); });
}

Upkeep::~Upkeep() {
  pulse_.Stop();
  thread_.join();
}

void Upkeep::Run() {
  Backoff backoff(kMinBackoff, kMaxBackoff);
  int failures = 0;
  do {
    absl::Status status = Prepare();
    if (status.ok()) status = Look();
    Report(status);
    failures = status.ok() ? 0 : failures + 1;
    if (status.ok()) on_tick_();
  } while (pulse_.Wait(failures == 0 ? tick_ : backoff.Wait(failures)));
}

absl::Status Upkeep::Prepare() {
  if (prepared_) return absl::OkStatus();
  {
    postgres::ConnectionPool::Handle connection = pool_.Take();
    LH_RETURN_IF_ERROR(MigrateSchema(*connection));
  }
  store_.Open();
  LH_ASSIGN_OR_RETURN(const int moved, store_.Reconsider());
  if (moved > 0) Log(Level::kInfo, "tenants moved with the configuration", {{"count", std::to_string(moved)}});
  prepared_ = true;
  return absl::OkStatus();
}

absl::Status Upkeep::Look() {
  for (bool more = true; more && !pulse_.stopped();) {
    LH_ASSIGN_OR_RETURN(const std::vector<TenantId> purged, store_.PurgeDue(kPurgesAtOnce));
    more = std::ssize(purged) == kPurgesAtOnce;
    if (!purged.empty()) {
      Log(Level::kInfo, "deleted tenants are being dropped", {{"count", std::to_string(purged.size())}});
    }
    for (const TenantId& id : purged) {
      if (audit_ != nullptr) audit_->Record({.action = v1::AUDIT_ACTION_TENANT_PURGE, .tenant = id.str()});
    }
  }
  if (looks_ % kForgetEvery == 0) LH_RETURN_IF_ERROR(store_.ForgetOld());
  if (looks_ % kCountEvery == 0) LH_RETURN_IF_ERROR(Count());
  if (looks_ % kCountServicesEvery == 0) LH_RETURN_IF_ERROR(CountByService());
  ++looks_;
  return absl::OkStatus();
}

absl::Status Upkeep::Count() {
  LH_ASSIGN_OR_RETURN(const Store::Counts counts, store_.Count());
  Show(counts.tenants, tenants_);
  outbox_.Set(static_cast<double>(counts.outbox));
  outbox_age_.Set(absl::ToDoubleSeconds(counts.outbox_age));
  health_.Set("outbox", counts.outbox_age <= kOutboxPatience
                            ? absl::OkStatus()
                            : Error(v1::REASON_NATS_UNAVAILABLE,
                                    absl::StrCat("JetStream has taken no changes of tenants for longer than ",
                                                 absl::FormatDuration(kOutboxPatience))));
  return absl::OkStatus();
}

absl::Status Upkeep::CountByService() {
  LH_ASSIGN_OR_RETURN(const auto counts, store_.CountByService());
  for (const auto& [service, count] : counts) {
    const OfService& its = services_.at(service);
    Show(count.tenants, its.tenants);
    if (count.last_pass > absl::InfinitePast()) {
      its.last_pass->Set(absl::ToDoubleSeconds(count.last_pass - absl::UnixEpoch()));
    }
  }
  return absl::OkStatus();
}

// The thread itself may be among those that wait.
void Upkeep::NoteWait(const std::string& what) {
  const absl::Status waits =
      what.empty() ? absl::OkStatus()
                   : Error(v1::REASON_REGISTRY_UNAVAILABLE, absl::StrCat("the registry gives no answer: ", what));
  {
    const absl::MutexLock lock(&mu_);
    if (waits_ == waits) return;
    waits_ = waits;
  }
  if (!waits.ok()) {
    Log(Level::kWarning, "registry gives no answer", {{"why", what}});
    health_.Set("registry", waits);
  }
}

void Upkeep::Report(const absl::Status& looked) {
  absl::Status status = looked;
  if (status.ok()) {
    const absl::MutexLock lock(&mu_);
    status = waits_;
  }
  health_.Set("registry",
              status.ok() || ClientSafe(status)
                  ? status
                  : Error(v1::REASON_REGISTRY_UNAVAILABLE, "the registry cannot be used; the gateway's log says why"));
  if (healthy_ == status.ok()) return;
  healthy_ = status.ok();
  if (status.ok()) {
    Log(Level::kInfo, "registry ready");
  } else {
    Log(Level::kError, "registry unavailable; trying again", {{"error", StdView(status.message())}});
  }
}

}  // namespace leasehold::gateway
