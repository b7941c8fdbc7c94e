// The registry: the catalogue of tenants and of each one's state per service, in the PostgreSQL database `leasehold`.
// This is its parts list; the parts stand beside it.
//
//   Registry registry(options, nats, clock, metrics, health);
//   TenantService tenants(registry);            // services/gateway/api: give these to the grpc::ServerBuilder
//   OperationService operations(registry);
//   ProvisionerService provisioners(registry);
//   LeaseAuthority … (registry.directory(), …)
//   registry.Start();  …  server->Shutdown();  …  registry.Stop();
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/daemon/daemon.h"
#include "common/executor/executor.h"
#include "common/jetstream/jetstream.h"
#include "common/postgres/postgres.h"
#include "common/secret/secret.h"
#include "common/telemetry/metrics.h"
#include "leasehold/v1/config.pb.h"
#include "services/gateway/directory/directory.h"

namespace leasehold::gateway {

class AuditRecorder;
class Store;

// Any thread, but Start() and Stop() once each, from one.
class Registry {
 public:
  struct Options {
    // `registry`, `nats.replicas` and the names in `services` are read; as LoadConfig() gives it.
    v1::Config config;
    // Of the login in `registry.dsn`; empty for none.
    Secret password;
    // How often due purges, old rows and gauges are looked at, and the outbox without a notification.
    absl::Duration tick = absl::Seconds(1);
    // Where tenants that others announce are recorded; outlives the registry. None: nowhere.
    AuditRecorder* audit = nullptr;
  };

  // `nats`, `clock`, `metrics` and `health` outlive the registry. Connects to nothing yet.
  Registry(const Options& options, jetstream::Client& nats, const Clock& clock, Metrics& metrics, Health& health);
  // Stops, if nobody did.
  ~Registry();

  // Returns at once. PostgreSQL and NATS are connected to in the background, with backoff, for as long as it takes;
  // until the schema is there, calls answer REGISTRY_UNAVAILABLE. Reports as components "registry" (PostgreSQL answers,
  // the schema is current) and "nats" (the streams TENANTS and PROVISIONING are there); who must be ready is main()'s
  // to Require().
  void Start();

  // Ends the background work. Shut the gRPC server down before, so that no call is left; drop handles of directory()
  // before or after.
  void Stop();

  TenantDirectory& directory();

  // The schema is there, for whoever goes to its database by himself. Any thread.
  bool prepared() const;

  // Of its database.
  const postgres::ConnectOptions& connection() const;

  // For the services in services/gateway/api.
  Store& store();
  // As many threads as there are connections: where store() may be called from.
  Executor& executor();
  // The configured services, sorted.
  const std::vector<std::string>& services() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace leasehold::gateway
