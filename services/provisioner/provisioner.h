// The parts of one provisioner, put together. main.cc adds flags and signals.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/config/config.h"
#include "common/daemon/daemon.h"
#include "common/identity/identity.h"
#include "common/jetstream/jetstream.h"
#include "common/postgres/postgres.h"
#include "common/telemetry/metrics.h"
#include "services/provisioner/archive/backup_keeper.h"
#include "services/provisioner/events/status_reporter.h"
#include "services/provisioner/events/tenant_events.h"
#include "services/provisioner/reconcile/desired_source.h"
#include "services/provisioner/reconcile/reconciler.h"
#include "services/provisioner/rollout/calls.h"
#include "services/provisioner/rollout/rollout.h"
#include "services/provisioner/spares/keeper.h"

namespace leasehold::provisioner {

class Provisioner {
 public:
  // Reads what the configuration names (keys, passwords, migrations) and opens the HTTP port; nothing else need be
  // there yet. Any error is one of configuration.
  static absl::StatusOr<std::unique_ptr<Provisioner>> Make(const v1::Config& config, const v1::ServiceConfig& service,
                                                           const Environment& environment);
  // Only reads; the same errors.
  static absl::Status Check(const v1::Config& config, const v1::ServiceConfig& service, const Environment& environment);
  ~Provisioner();

  absl::Status Start();
  // Takes no new work and waits for the running steps. False if some still run after `patience`: then exit without
  // destroying anything.
  bool Stop(absl::Duration patience);

 private:
  struct Settings {
    ServiceName service;
    Instance::Options instance;
    Reconciler::Options reconciler;
    BackupKeeper::Options backups;
    SpareKeeper::Options spares;
    Rollout::Options rollout;
    std::string gateway;
    int replicas = 1;
    HostPort http;
  };
  explicit Provisioner(Settings settings);
  static absl::StatusOr<Settings> Read(const v1::Config& config, const v1::ServiceConfig& service,
                                       const Environment& environment);
  std::function<void(bool)> OnClaim(const SpareKeeper::Options& options);
  absl::Status Connect(const std::string& nats_url);
  absl::Status ReportBackup(const BackupRecord& record);

  const SystemClock clock_;
  const HostPort http_;
  const int replicas_;
  Metrics metrics_;
  Health health_;
  HttpEndpoint endpoint_;
  const Instance instance_;
  postgres::ConnectionPool central_;
  Records records_;
  GatewayDesired desired_;
  Dependency instance_health_;
  Dependency gateway_health_;
  Dependency nats_health_;
  Reconciler reconciler_;
  BackupKeeper backups_;
  SpareKeeper spares_;
  Rollout rollout_;
  MigrationCalls migration_calls_;
  std::unique_ptr<jetstream::Client> nats_;
  std::unique_ptr<jetstream::Responder> migration_responder_;
  std::unique_ptr<StatusReporter> reporter_;
  std::unique_ptr<TenantEvents> events_;
};

}  // namespace leasehold::provisioner
