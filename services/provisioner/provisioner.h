// The parts of one provisioner, put together. main.cc adds flags and signals.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/config/config.h"
#include "common/daemon/daemon.h"
#include "common/daemon/daemon_metrics.h"
#include "common/daemon/reloader.h"
#include "common/identity/identity.h"
#include "common/jetstream/jetstream.h"
#include "common/jetstream/options.h"
#include "common/otlp/otlp_exporter.h"
#include "common/postgres/postgres.h"
#include "common/telemetry/metrics.h"
#include "common/tls/watcher.h"
#include "services/provisioner/archive/backup_keeper.h"
#include "services/provisioner/events/status_reporter.h"
#include "services/provisioner/events/tenant_events.h"
#include "services/provisioner/overview/instance_calls.h"
#include "services/provisioner/reconcile/desired_source.h"
#include "services/provisioner/reconcile/reconciler.h"
#include "services/provisioner/rollout/calls.h"
#include "services/provisioner/rollout/rollout.h"
#include "services/provisioner/spares/keeper.h"

namespace leasehold::provisioner {

class Provisioner {
 public:
  // Reads what the configuration names (keys, passwords, migrations) and opens the HTTP port; nothing else need be
  // there yet. Any error is one of configuration. `on_new_role_key` is called on a thread of its own when the file has
  // another current key than the one that was read: all parts know that one, so that it takes a new Provisioner.
  static absl::StatusOr<std::unique_ptr<Provisioner>> Make(const v1::Config& config, const v1::ServiceConfig& service,
                                                           const Environment& environment,
                                                           std::function<void()> on_new_role_key);
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
    std::string token_file;
    int replicas = 1;
    HostPort http;
  };
  // What is read again when it changes, from before anything is made with it.
  struct Renewed {
    SystemClock clock;
    Metrics metrics;
    Reloader role_key{metrics};
    tls::Watcher watcher{clock, metrics};
    std::shared_ptr<const tls::LiveCredentials> gateway;  // null: in clear
    std::shared_ptr<const tls::LiveCredentials> http;     // the same
  };
  Provisioner(Settings settings, std::unique_ptr<Renewed> renewed);
  static absl::StatusOr<Settings> Read(const v1::Config& config, const v1::ServiceConfig& service,
                                       const Environment& environment);
  static absl::StatusOr<std::unique_ptr<Renewed>> ReadCertificates(const v1::ProvisionerConfig& config);
  std::function<void(bool)> OnClaim(const SpareKeeper::Options& options);
  absl::Status WatchRoleKey(const std::string& path, std::function<void()> on_new_role_key);
  absl::Status Connect(const std::string& nats_url, const jetstream::Security& security);
  absl::Status ReportBackup(const BackupRecord& record);
  // What reads the central database's tables all the time begins once they are there.
  void StartReaders() ABSL_LOCKS_EXCLUDED(mu_);

  const std::unique_ptr<Renewed> renewed_;
  const SystemClock clock_;
  const HostPort http_;
  const int replicas_;
  Metrics& metrics_;
  std::unique_ptr<SpanExport> spans_;  // goes after all that makes spans
  Health health_;
  const Metrics::Handle own_metrics_;
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
  InstanceCalls instance_calls_;
  std::unique_ptr<jetstream::Client> nats_;
  std::unique_ptr<jetstream::Responder> migration_responder_;
  std::unique_ptr<jetstream::Responder> second_migration_responder_;  // for what all are asked
  std::unique_ptr<jetstream::Responder> instance_responder_;
  std::unique_ptr<jetstream::Responder> second_instance_responder_;  // the same
  std::unique_ptr<StatusReporter> reporter_;
  std::unique_ptr<TenantEvents> events_;
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace leasehold::provisioner
