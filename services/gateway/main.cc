// leasehold-gateway: the registry and leases over gRPC, and the SQL endpoint.
#include <CLI/CLI.hpp>

#include <array>
#include <cstdlib>
#include <format>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "common/config/config.h"
#include "common/daemon/daemon.h"
#include "common/daemon/daemon_metrics.h"
#include "common/daemon/descriptors.h"
#include "common/daemon/private_memory.h"
#include "common/daemon/readiness.h"
#include "common/daemon/reloader.h"
#include "common/daemon/serving.h"
#include "common/jetstream/jetstream.h"
#include "common/jetstream/options.h"
#include "common/otlp/otlp_exporter.h"
#include "common/otlp/otlp_headers.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "common/telemetry/metrics.h"
#include "common/version/version.h"
#include "services/gateway/api/audit_service.h"
#include "services/gateway/api/backup_service.h"
#include "services/gateway/api/doctor_service.h"
#include "services/gateway/api/instance_asker.h"
#include "services/gateway/api/instance_service.h"
#include "services/gateway/api/lease_service.h"
#include "services/gateway/api/log_service.h"
#include "services/gateway/api/migration_service.h"
#include "services/gateway/api/operation_service.h"
#include "services/gateway/api/policy_service.h"
#include "services/gateway/api/pool_service.h"
#include "services/gateway/api/provisioner_service.h"
#include "services/gateway/api/status_service.h"
#include "services/gateway/api/tenant_service.h"
#include "services/gateway/audit/expiry.h"
#include "services/gateway/audit/recorder.h"
#include "services/gateway/audit/trail.h"
#include "services/gateway/audit/trimmer.h"
#include "services/gateway/callers.h"
#include "services/gateway/encryption.h"
#include "services/gateway/gate/gates.h"
#include "services/gateway/lease/replicator.h"
#include "services/gateway/lease/signed_authority.h"
#include "services/gateway/registry/registry.h"
#include "services/gateway/rpc_server.h"
#include "services/gateway/secrets.h"
#include "services/gateway/session/endpoint.h"

namespace leasehold::gateway {
namespace {

// How late a lease's end may be noticed; DESIGN allows a second for all that follows.
constexpr absl::Duration kBookTick = absl::Milliseconds(100);
constexpr absl::Duration kHealthTick = absl::Milliseconds(100);
// Beside the server connections: the registry, NATS, HTTP, files that are read again, what threads wait with.
constexpr int kOwnDescriptors = 64;
// For calls in progress at the end; those that wait have been answered before.
constexpr absl::Duration kRevocationsPatience = absl::Seconds(2);
constexpr absl::Duration kRpcPatience = absl::Seconds(2);

void Configure(const v1::LogConfig& log) {
  ConfigureLog("gateway", ParseLevel(log.level()).value_or(Level::kInfo),
               ParseLogFormat(log.format()).value_or(DefaultLogFormat()));
}

std::vector<TenantShare> Shares(const v1::InstanceConfig& instance) {
  std::vector<TenantShare> shares;
  for (const v1::TenantShareConfig& share : instance.tenant_shares()) {
    shares.push_back({.tenants = share.tenants(),
                      .weight = share.weight() == 0 ? 1.0 : share.weight(),
                      .max_connections = share.max_connections()});
  }
  return shares;
}

absl::StatusOr<Address> AddressOf(const v1::ServiceConfig& service, const Encryption& encryption) {
  const v1::InstanceConfig& instance = service.instance();
  LH_ASSIGN_OR_RETURN(const TlsMode tls, ParseTlsMode(instance.sslmode()));
  LH_ASSIGN_OR_RETURN(const ChannelBinding binding, ParseChannelBinding(instance.channel_binding()));
  const auto believes = encryption.instances.find(service.name());
  return Address{.host = instance.host(),
                 .port = instance.port(),
                 .tls = tls,
                 .binding = binding,
                 .believes = believes == encryption.instances.end() ? nullptr : believes->second};
}

// `health` hears of each instance as "instance/<service>": one that fails takes no other service's leases with it, so
// none of them decides on readiness.
absl::StatusOr<SqlEndpoint::Options> SqlOptions(const v1::Config& config, const Secrets& secrets,
                                                const Encryption& encryption, Health& health) {
  const v1::GatewayConfig& gateway = config.gateway();
  SqlEndpoint::Options options;
  LH_ASSIGN_OR_RETURN(options.listen, ParseHostPort("gateway.sql_listen", gateway.sql_listen()));
  options.loops = gateway.sql_loops();
  options.tls = encryption.sql;
  options.require_tls = gateway.sql_tls() == "required";
  options.max_clients = gateway.max_clients();
  options.login_timeout = ToDuration(gateway.login_timeout());
  options.log_queries = config.log().queries();
  options.metrics_tenants = static_cast<size_t>(gateway.metrics_tenants());
  for (int i = 0; i < config.services_size(); ++i) {
    const v1::InstanceConfig& instance = config.services(i).instance();
    LH_ASSIGN_OR_RETURN(ServiceName service, ServiceName::Parse(config.services(i).name()));
    absl::StatusOr<Address> address = AddressOf(config.services(i), encryption);
    if (!address.ok()) return WithFieldPrefix(address.status(), std::format("services[{}].instance", i));
    LoginTarget probe{.database = instance.database(),
                      .role = CentralRole(service),
                      .database_id = std::string(RoleKey::kCentralId),
                      .kind = RoleKind::kOwner,
                      .tenant = ""};
    health.Expect(InstanceComponent(service.str()));
    auto on_vitals = [&health, component = InstanceComponent(service.str())](const absl::Status& status,
                                                                             std::optional<absl::Duration> took) {
      health.Set(component, status, took);
    };
    auto on_waits = [&health, component = std::format("pool/{}", service.str())](const absl::Status& status) {
      health.Set(component, status);
    };
    options.instances.push_back({.service = std::move(service),
                                 .address = *std::move(address),
                                 .role_keys = secrets.role_keys.at(config.services(i).name()),
                                 .max_connections = instance.max_connections(),
                                 .tenant_max_connections = instance.tenant_max_connections(),
                                 .tenant_shares = Shares(instance),
                                 .connection_timeout = ToDuration(instance.connection_timeout()),
                                 .idle_timeout = ToDuration(instance.idle_timeout()),
                                 .max_age = ToDuration(instance.max_connection_age()),
                                 .health_check_interval = ToDuration(instance.health_check_interval()),
                                 .health_check_timeout = ToDuration(instance.health_check_timeout()),
                                 .max_prepared_statements = static_cast<size_t>(instance.max_prepared_statements()),
                                 .tenant_restraint = instance.tenant_restraint() != "off",
                                 .probe = std::move(probe),
                                 .on_vitals = std::move(on_vitals),
                                 .on_waits = std::move(on_waits)});
  }
  return options;
}

// Raises the limit, and says if it is too low for what the configuration allows.
DescriptorBudget BudgetOf(const v1::Config& config) {
  int own = kOwnDescriptors;
  for (const v1::ServiceConfig& service : config.services()) own += service.instance().max_connections();
  const int limit = RaiseDescriptorLimit();
  const DescriptorBudget budget(own);
  if (budget.ForClients() < config.gateway().max_clients() + own) {
    Log(Level::kWarning, "too few file descriptors for gateway.max_clients: some clients will be refused",
        {{"limit", std::to_string(limit)},
         {"max_clients", std::to_string(config.gateway().max_clients())},
         {"enough", std::to_string(config.gateway().max_clients() + 3 * own)}});
  }
  return budget;
}

struct Arguments {
  std::string config;
  bool check_config = false;
  bool check_health = false;
  bool insecure = false;
};

absl::Status Run(const Arguments& arguments) {
  KeepMemoryPrivate();
  SignalWaiter signals;
  const Environment environment = ProcessEnvironment();
  LH_ASSIGN_OR_RETURN(const v1::Config config, LoadConfig(arguments.config, environment));
  Configure(config.log());
  LH_ASSIGN_OR_RETURN(const HostPort http_address,
                      ParseHostPort("gateway.http_listen", config.gateway().http_listen()));
  if (arguments.check_health) {
    return CheckReady(http_address, {.certificate = config.gateway().http_certificate_file(),
                                     .key = config.gateway().http_key_file()});
  }
  LH_RETURN_IF_ERROR(CheckExposure(config.gateway(), arguments.insecure));
  LH_ASSIGN_OR_RETURN(const Secrets secrets, ReadSecrets(config, environment));
  LH_ASSIGN_OR_RETURN(const HostPort advertised,
                      ParseHostPort("gateway.sql_advertise", config.gateway().sql_advertise()));
  LH_ASSIGN_OR_RETURN(const HostPort grpc_address,
                      ParseHostPort("gateway.grpc_listen", config.gateway().grpc_listen()));
  const absl::Duration max_ttl = ToDuration(config.leases().max_ttl());

  const SystemClock clock;
  Metrics metrics;
  Health health(clock);
  for (const char* component : {"registry", "nats", "leases", "listeners"}) health.Require(component);
  const Metrics::Handle own_metrics = AddDaemonMetrics(health, metrics);
  const std::string name = AuditGatewayName();
  tls::Watcher certificates(clock, metrics);
  LH_ASSIGN_OR_RETURN(const Encryption encryption, ReadEncryption(config, certificates));
  Serving serving(health);
  HttpEndpoint http(health, metrics, {}, encryption.http);
  http.Handle("/servingz", [&serving] {
    return serving.Now() ? HttpAnswer{.body = "ok\n"} : HttpAnswer{.status = 503, .body = "not serving\n"};
  });
  LH_ASSIGN_OR_RETURN(SqlEndpoint::Options sql_options, SqlOptions(config, secrets, encryption, health));
  Reloader keys(metrics);
  LH_RETURN_IF_ERROR(WatchKeys(config, secrets, keys));
  LH_ASSIGN_OR_RETURN(const jetstream::Security nats_security,
                      jetstream::ReadSecurity(config.nats(), environment, certificates));
  if (arguments.check_config) {
    LH_RETURN_IF_ERROR(ReadOtlpHeaders(environment).status());
    return Callers::Check(config.gateway());
  }

  LH_ASSIGN_OR_RETURN(
      const std::unique_ptr<SpanExport> spans,
      SpanExport::Start(config.tracing(),
                        {.service = "leasehold-gateway", .instance = name, .version = std::string(Version())},
                        environment, metrics));
  LH_ASSIGN_OR_RETURN(const auto nats,
                      jetstream::Connect({.url = config.nats().url(), .name = "gateway"}, nats_security));
  AuditRecorder audit(config.audit(), clock, metrics);
  Registry registry({.config = config, .password = secrets.registry_password, .audit = &audit}, *nats, clock, metrics,
                    health);
  AuditTrail trail({.registry = registry.connection(),
                    .prepared = [&registry] { return registry.prepared(); },
                    .gateway = name,
                    .replicas = config.nats().replicas(),
                    .stream_retention = ToDuration(config.audit().stream_retention())},
                   audit, *nats, metrics);
  AuditTrimmer trimmer({.registry = registry.connection(),
                        .prepared = [&registry] { return registry.prepared(); },
                        .gateway = name,
                        .retention = audit.on() ? ToDuration(config.audit().retention()) : absl::ZeroDuration()},
                       clock, metrics);

  const KnownServices services(config);
  Timer timer(clock);
  LeaseWatchers watchers;
  LeaseOutbox outbox;
  LeaseBook book(clock, watchers, outbox, {.max_ttl = max_ttl, .on_expiry = [&audit](const v1::LeaseRecord& lease) {
                                             RecordExpiry(audit, lease);
                                           }});
  LeaseReplicator replicator(*nats, book, outbox, {.replicas = config.nats().replicas(), .max_ttl = max_ttl});
  LeaseIssuer issuer(secrets.signing_keys, services, book, advertised);
  SignedLeaseAuthority authority(secrets.signing_keys, services, book, watchers, registry.directory());
  sql_options.audit = &audit;
  const DescriptorBudget descriptors = BudgetOf(config);
  sql_options.descriptors = descriptors;
  SqlEndpoint sql(sql_options, authority, metrics, clock);

  LH_ASSIGN_OR_RETURN(const auto callers, Callers::Make(config, registry.directory(), book, clock, metrics));
  LeaseService leases({issuer, book, watchers, registry.directory(), timer, services, &audit, &callers->gate()},
                      config.leases(), metrics);
  TenantService tenants(registry);
  OperationService operations(registry);
  BackupService backups(registry, !config.provisioner().backup_folder().empty());
  ProvisionerService provisioners(registry);
  DoctorService doctor(registry, clock, ToDuration(config.provisioner().resync_interval()));
  PoolService pools(sql, services);
  PolicyService policies(callers->gate());
  MigrationAsker migration_asker(*nats, services, &audit);
  MigrationService migrations(migration_asker, registry, timer);
  AuditService audits(registry.connection());
  InstanceAsker instance_asker(*nats, services);
  LogService logs(sql.query_log(), instance_asker, config);
  InstanceService instances(instance_asker, services);
  StatusService status({.registry = registry,
                        .asker = instance_asker,
                        .health = health,
                        .clock = clock,
                        .ask_instances = [&sql](auto done) { sql.AskVitals(std::move(done)); },
                        .sessions = [&sql] { return sql.clients(); },
                        .leases = [&book] { return static_cast<int64_t>(book.live()); }},
                       name, ToDuration(config.provisioner().resync_interval()));

  prometheus::Gauge& active =
      metrics.Gauge("leasehold_leases", "Leases that this gateway knows of", {{"state", "active"}});
  prometheus::Counter& over_quota =
      metrics.Counter("leasehold_sessions_over_quota_total", "Sessions refused: one more than their lease may have");
  timer.Every(kBookTick, [&] {
    book.Tick();
    over_quota.Increment(static_cast<double>(authority.sessions_refused()) - over_quota.Value());
    active.Set(static_cast<double>(book.live()));
    health.Set("leases", replicator.synced()
                             ? absl::OkStatus()
                             : Error(v1::REASON_NATS_UNAVAILABLE, "other gateways' leases have not been read yet"));
  });

  if (const absl::Status started = http.Start(http_address); !started.ok()) {
    return InvalidField(
        "gateway.http_listen", config.gateway().http_listen(),
        std::format("an address of this machine with a port that nobody listens on ({})", started.message()));
  }
  // Revocations first, then sessions; without NATS there is nothing to wait for, and valid leases connect.
  replicator.Start();
  for (const absl::Time end = absl::Now() + kRevocationsPatience; !replicator.synced() && absl::Now() < end;) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  LH_RETURN_IF_ERROR(sql.Start());
  TenantServiceGate tenant_gate(tenants);
  OperationServiceGate operation_gate(operations);
  BackupServiceGate backup_gate(backups);
  ProvisionerServiceGate provisioner_gate(provisioners);
  LeaseServiceGate lease_gate(leases);
  PoolServiceGate pool_gate(pools);
  DoctorServiceGate doctor_gate(doctor);
  MigrationServiceGate migration_gate(migrations);
  LogServiceGate log_gate(logs);
  PolicyServiceGate policy_gate(policies);
  AuditServiceGate audit_gate(audits);
  InstanceServiceGate instance_gate(instances);
  StatusServiceGate status_gate(status);
  const std::array<Gated*, 13> gates = {&tenant_gate, &operation_gate, &backup_gate,    &provisioner_gate, &lease_gate,
                                        &pool_gate,   &doctor_gate,    &migration_gate, &log_gate,         &policy_gate,
                                        &audit_gate,  &instance_gate,  &status_gate};
  LH_ASSIGN_OR_RETURN(
      const auto rpc,
      RpcServer::Start(
          grpc_address, rpc::ServerCredentials(encryption.grpc, ClientCertificateOf(config.gateway())), descriptors,
          {.per_connection = config.gateway().grpc_calls_per_connection(), .total = config.gateway().grpc_max_calls()},
          callers->gate(), audit, metrics, gates));
  certificates.Start();
  health.Set("listeners", absl::OkStatus());
  timer.Every(kHealthTick, [&rpc, &health, &serving, names = services.names()] {
    TellHealth(rpc->server(), health, serving, names);
  });
  registry.Start();
  trail.Start();
  trimmer.Start();
  timer.Start();
  callers->Start();
  keys.Start();
  Log(Level::kInfo, "started",
      {{"version", Version()},
       {"commit", Commit()},
       {"grpc", config.gateway().grpc_listen()},
       {"sql", config.gateway().sql_listen()},
       {"http", config.gateway().http_listen()}});

  signals.Wait();

  Log(Level::kInfo, "stopping", {{"clients", std::to_string(sql.clients())}});
  health.Set("listeners", Error(v1::REASON_SHUTTING_DOWN, "this gateway is shutting down"));
  serving.End();
  sql.Drain(ToDuration(config.gateway().drain_timeout()));
  leases.Shutdown();  // releases held leases, which the replicator still has to tell
  rpc->Shutdown(absl::Now() + kRpcPatience);
  sql.Stop();
  replicator.Stop();
  trimmer.Stop();
  trail.Stop();
  registry.Stop();
  timer.Stop();
  http.Stop();
  Log(Level::kInfo, "stopped");
  return absl::OkStatus();
}

}  // namespace
}  // namespace leasehold::gateway

int main(int argc, char** argv) {
#ifdef NDEBUG
  // Debian builds Abseil for debugging: each lock of a Mutex, gRPC's too, enters a graph under one lock of the process.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
  leasehold::gateway::Arguments arguments;
  CLI::App app("Leasehold's gateway: tenants and leases over gRPC, tenant databases over the PostgreSQL protocol.",
               "leasehold-gateway");
  app.add_option("--config", arguments.config, "The configuration file")->required();
  CLI::Option* check_config = app.add_flag("--check-config", arguments.check_config,
                                           "Only read the configuration and its secrets, and say what is wrong");
  app.add_flag("--check-health", arguments.check_health,
               "Only ask the gateway that runs with this configuration whether it is ready")
      ->excludes(check_config);
  app.add_flag("--insecure", arguments.insecure, "Listen beyond loopback even without TLS or without asking who calls");
  app.set_version_flag("--version", leasehold::VersionLine("leasehold-gateway"));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? EXIT_SUCCESS : 2;
  }
  const absl::Status status = leasehold::gateway::Run(arguments);
  if (status.ok()) return EXIT_SUCCESS;
  std::cerr << "leasehold-gateway: " << status.message() << "\n";
  return EXIT_FAILURE;
}
