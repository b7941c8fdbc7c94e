#include "services/gateway/registry/registry.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

#include "common/config/config.h"
#include "common/postgres/postgres.h"
#include "services/gateway/registry/backlog.h"
#include "services/gateway/registry/intake.h"
#include "services/gateway/registry/outbox.h"
#include "services/gateway/registry/pull_loop.h"
#include "services/gateway/registry/registry_directory.h"
#include "services/gateway/registry/relay.h"
#include "services/gateway/registry/store.h"
#include "services/gateway/registry/upkeep.h"

namespace leasehold::gateway {
namespace {

constexpr int kBacklogTicks = 5;

postgres::ConnectOptions ConnectionOf(const Registry::Options& options) {
  postgres::ConnectOptions connect;
  connect.dsn = options.config.registry().dsn();
  connect.password = options.password;
  connect.application_name = std::string(kGatewaySessions);
  return connect;
}

std::vector<std::string> ServicesOf(const v1::Config& config) {
  std::vector<std::string> services;
  for (const v1::ServiceConfig& service : config.services()) services.push_back(service.name());
  std::ranges::sort(services);
  return services;
}

}  // namespace

struct Registry::Impl {
  Impl(const Options& given, jetstream::Client& nats_client, const Clock& clock, Metrics& metrics_room,
       Health& health_room)
      : options(given),
        nats(nats_client),
        metrics(metrics_room),
        health(health_room),
        connect(ConnectionOf(given)),
        pool(connect, given.config.registry().connections(), &clock),
        store(pool, clock, ServicesOf(given.config), ToDuration(given.config.registry().retention())),
        executor("registry", given.config.registry().connections()),
        directory({.read = [this](std::span<const TenantId> ids) { return store.Read(ids); },
                   .read_domain = [this](const std::string& domain) { return store.GetByDomain(domain); },
                   .list_ids = [this](const std::string& after, int limit) { return store.ListIds(after, limit); }},
                  executor, clock, {.ttl = ToDuration(given.config.registry().cache_ttl())}),
        tenant_intake(store, nats, metrics, given.audit),
        report_intake(store, nats, metrics) {
    store.KeepClosed();
    if (given.audit != nullptr) store.AdmitBy([audit = given.audit] { return audit->Admit(); });
  }

  postgres::Listener::Handlers Notifications() {
    return {.on_notify =
                [this](std::string_view channel, std::string_view payload) {
                  if (channel == kOutboxChannel) {
                    relay->Wake();
                  } else if (const absl::StatusOr<TenantId> id = TenantId::Parse(payload); id.ok()) {
                    directory.Changed(*id);
                  }
                },
            .on_reconnect =
                [this] {
                  relay->Wake();
                  directory.ChangesMissed();
                },
            .on_lost = nullptr};
  }

  const Options options;
  jetstream::Client& nats;
  Metrics& metrics;
  Health& health;
  const postgres::ConnectOptions connect;
  postgres::ConnectionPool pool;
  Store store;
  Executor executor;
  RegistryDirectory directory;
  TenantIntake tenant_intake;
  ReportIntake report_intake;
  std::atomic<bool> prepared = false;

  // What runs, in the order of starting.
  std::optional<OutboxRelay> relay;
  std::optional<Upkeep> upkeep;
  std::optional<postgres::Listener> listener;
  std::optional<PullLoop> tenant_loop;
  std::optional<PullLoop> report_loop;
  std::optional<Backlog> backlog;
};

Registry::Registry(const Options& options, jetstream::Client& nats, const Clock& clock, Metrics& metrics,
                   Health& health)
    : impl_(std::make_unique<Impl>(options, nats, clock, metrics, health)) {}

Registry::~Registry() { Stop(); }

void Registry::Start() {
  Impl& r = *impl_;
  r.relay.emplace(
      OutboxRelay::Options{
          .postgres = r.connect, .replicas = r.options.config.nats().replicas(), .tick = r.options.tick},
      r.nats, r.health);
  r.upkeep.emplace(r.store, r.pool, r.connect, r.options.tick, r.metrics, r.health, r.options.audit, [&r] {
    r.prepared = true;
    r.relay->Begin();
    r.directory.Retry();
  });
  r.listener.emplace(r.connect, std::vector<std::string>{std::string(kTenantsChannel), std::string(kOutboxChannel)},
                     r.Notifications());
  r.tenant_loop.emplace(r.nats, TenantIntake::Consumer(),
                        [&r](jetstream::Message& message) { return r.tenant_intake.Handle(message); });
  r.report_loop.emplace(r.nats, ReportIntake::Consumer(),
                        [&r](jetstream::Message& message) { return r.report_intake.Handle(message); });
  r.backlog.emplace(r.nats, r.store.services(), kBacklogTicks * r.options.tick, r.metrics);
}

void Registry::Stop() {
  Impl& r = *impl_;
  r.backlog.reset();
  r.report_loop.reset();
  r.tenant_loop.reset();
  r.listener.reset();
  r.upkeep.reset();
  r.relay.reset();
  r.directory.Stop();
  r.executor.Stop();
}

TenantDirectory& Registry::directory() { return impl_->directory; }
bool Registry::prepared() const { return impl_->prepared; }
const postgres::ConnectOptions& Registry::connection() const { return impl_->connect; }
Store& Registry::store() { return impl_->store; }
Executor& Registry::executor() { return impl_->executor; }
const std::vector<std::string>& Registry::services() const { return impl_->store.services(); }

}  // namespace leasehold::gateway
