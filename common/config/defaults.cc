#include "common/config/defaults.h"

#include <format>

#include "common/config/config.h"

namespace leasehold::config {

v1::Config Defaults() {
  v1::Config config;

  v1::GatewayConfig& gateway = *config.mutable_gateway();
  gateway.set_grpc_listen("127.0.0.1:7450");
  gateway.set_sql_listen("127.0.0.1:7432");
  gateway.set_http_listen("127.0.0.1:7480");
  gateway.set_max_clients(10000);
  *gateway.mutable_login_timeout() = FromDuration(absl::Seconds(30));
  *gateway.mutable_drain_timeout() = FromDuration(absl::Seconds(30));
  gateway.set_metrics_tenants(100);
  gateway.set_grpc_calls_per_connection(1000);
  gateway.set_grpc_max_calls(20000);
  gateway.set_grpc_client_certificate("required");
  gateway.set_sql_tls("optional");

  v1::RegistryConfig& registry = *config.mutable_registry();
  registry.set_connections(4);
  *registry.mutable_retention() = FromDuration(absl::Hours(168));
  *registry.mutable_cache_ttl() = FromDuration(absl::Hours(1));

  config.mutable_nats()->set_url("nats://127.0.0.1:7422");
  config.mutable_nats()->set_replicas(1);

  *config.mutable_leases()->mutable_default_ttl() = FromDuration(absl::Minutes(15));
  *config.mutable_leases()->mutable_max_ttl() = FromDuration(absl::Hours(24));

  v1::ProvisionerConfig& provisioner = *config.mutable_provisioner();
  *provisioner.mutable_resync_interval() = FromDuration(absl::Seconds(30));
  *provisioner.mutable_min_backoff() = FromDuration(absl::Milliseconds(500));
  *provisioner.mutable_max_backoff() = FromDuration(absl::Minutes(1));
  provisioner.set_parallelism(4);
  provisioner.set_min_spares(2);
  provisioner.set_migrate("automatic");
  provisioner.set_max_spares(32);
  *provisioner.mutable_run_retention() = FromDuration(absl::Hours(720));
  provisioner.set_max_runs(1000);

  config.mutable_log()->set_level("info");
  config.mutable_tracing()->set_sample_percent(100);

  v1::AuditConfig& audit = *config.mutable_audit();
  audit.set_record("on");
  audit.set_on_failure("continue");
  audit.set_buffer(50'000);
  *audit.mutable_stream_retention() = FromDuration(absl::Hours(2160));
  *audit.mutable_retention() = FromDuration(absl::ZeroDuration());
  return config;
}

v1::ServiceConfig ServiceDefaults(int index) {
  v1::ServiceConfig service;
  service.set_http_listen(std::format("127.0.0.1:{}", 7481 + index));
  v1::InstanceConfig& instance = *service.mutable_instance();
  instance.set_host("127.0.0.1");
  instance.set_port(7501 + index);
  instance.set_username("leasehold");
  instance.set_sslmode("prefer");
  instance.set_max_connections(50);
  *instance.mutable_connection_timeout() = FromDuration(absl::Seconds(30));
  *instance.mutable_idle_timeout() = FromDuration(absl::Minutes(30));
  *instance.mutable_health_check_interval() = FromDuration(absl::Seconds(60));
  *instance.mutable_health_check_timeout() = FromDuration(absl::Seconds(5));
  *instance.mutable_max_connection_age() = FromDuration(absl::Hours(1));
  instance.set_max_prepared_statements(500);
  instance.set_tenant_restraint("auto");
  instance.set_channel_binding("prefer");
  return service;
}

void FillDerived(v1::Config& config) {
  v1::GatewayConfig& gateway = *config.mutable_gateway();
  if (gateway.sql_advertise().empty()) gateway.set_sql_advertise(gateway.sql_listen());
  if (config.provisioner().gateway().empty()) config.mutable_provisioner()->set_gateway(gateway.grpc_listen());
  for (v1::ServiceConfig& service : *config.mutable_services()) {
    v1::InstanceConfig& instance = *service.mutable_instance();
    if (instance.database().empty()) instance.set_database(service.name() + "_central");
  }
}

}  // namespace leasehold::config
