#include "services/cli/stack/effective_config.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/postgres/dsn.h"
#include "common/postgres/postgres.h"
#include "common/status/error.h"

namespace leasehold::stack {
namespace {

// The login is made a plain one with a new password, which must not happen to the superuser.
absl::Status CheckLogin(const std::string& field, const std::string& login) {
  if (login != "postgres" && !login.starts_with("pg_")) return absl::OkStatus();
  return InvalidField(field, login, "a name that is not PostgreSQL's own: neither postgres nor pg_…");
}

// What people and daemons are to each other stays on this machine, and probes speak plain HTTP.
void Encrypt(v1::Config& config, const std::string& folder) {
  const auto path = [&folder](std::string_view file) { return absl::StrCat(folder, "/", std::string(file)); };
  v1::GatewayConfig& gateway = *config.mutable_gateway();
  gateway.set_grpc_certificate_file(path("gateway.crt"));
  gateway.set_grpc_key_file(path("gateway.key"));
  gateway.set_grpc_client_ca_file(path("ca.crt"));
  gateway.set_sql_certificate_file(path("gateway.crt"));
  gateway.set_sql_key_file(path("gateway.key"));
  v1::ProvisionerConfig& provisioner = *config.mutable_provisioner();
  provisioner.set_gateway_ca_file(path("ca.crt"));
  provisioner.set_certificate_file(path("provisioner.crt"));
  provisioner.set_key_file(path("provisioner.key"));
  v1::NatsConfig& nats = *config.mutable_nats();
  nats.set_ca_file(path("ca.crt"));
  nats.set_certificate_file(path("gateway.crt"));
  nats.set_key_file(path("gateway.key"));
  for (v1::ServiceConfig& service : *config.mutable_services()) {
    service.mutable_instance()->set_sslmode("verify-full");
    service.mutable_instance()->set_ca_file(path("ca.crt"));
    service.mutable_instance()->set_channel_binding("require");
  }
}

// Quoted only where it has to be: not everybody who reads these lines is a shell.
std::string ForShell(const std::string& path) {
  const bool plain = std::ranges::all_of(
      path, [](unsigned char c) { return absl::ascii_isalnum(c) || c == '/' || c == '.' || c == '_' || c == '-'; });
  return plain ? path : absl::StrCat("'", absl::StrReplaceAll(path, {{"'", "'\\''"}}), "'");
}

}  // namespace

std::string NatsUrl(const Ports& ports, const std::string& certificates) {
  return absl::StrCat(certificates.empty() ? "nats" : "tls", "://127.0.0.1:", ports.nats);
}

std::string SuperuserSecret(const std::string& server) { return absl::StrCat("superuser-", server); }
std::string LoginSecret(const std::string& service) { return absl::StrCat("login-", service); }
std::string RoleKeySecret(const std::string& service) { return absl::StrCat("role-key-", service); }

absl::StatusOr<v1::Config> EffectiveConfig(const v1::Config& config, const Ports& ports, SecretFolder& secrets,
                                           const std::string& certificates) {
  v1::Config effective = config;
  v1::GatewayConfig& gateway = *effective.mutable_gateway();
  // An advertised address is the user's choice, unless it only repeats where SQL listens and that has moved.
  if (gateway.sql_advertise().empty() || gateway.sql_advertise() == gateway.sql_listen()) {
    gateway.set_sql_advertise(Reach(ports.sql));
  }
  gateway.set_grpc_listen(ToText(ports.grpc));
  gateway.set_sql_listen(ToText(ports.sql));
  gateway.set_http_listen(ToText(ports.http));
  effective.mutable_provisioner()->set_gateway(Reach(ports.grpc));
  effective.mutable_nats()->set_url(NatsUrl(ports, certificates));
  effective.mutable_nats()->set_replicas(1);

  v1::RegistryConfig& registry = *effective.mutable_registry();
  if (certificates.empty()) {
    registry.set_dsn(postgres::Dsn("127.0.0.1", ports.registry, kLogin, kLogin));
  } else {
    const std::string ca = absl::StrCat(certificates, "/ca.crt");
    registry.set_dsn(
        postgres::Dsn("127.0.0.1", ports.registry, kLogin, kLogin,
                      postgres::Encryption{.sslmode = "verify-full", .sslrootcert = ca, .channel_binding = "require"}));
    Encrypt(effective, certificates);
  }
  LH_ASSIGN_OR_RETURN(*registry.mutable_password_file(), secrets.PasswordFile(LoginSecret("registry")));
  LH_ASSIGN_OR_RETURN(*effective.mutable_leases()->mutable_signing_keys_file(), secrets.SigningKeysFile());

  for (int i = 0; i < effective.services_size(); ++i) {
    v1::ServiceConfig& service = *effective.mutable_services(i);
    service.set_http_listen(ToText(ports.provisioners.at(service.name())));
    v1::InstanceConfig& instance = *service.mutable_instance();
    instance.set_host("127.0.0.1");
    instance.set_port(ports.instances.at(service.name()));
    LH_RETURN_IF_ERROR(CheckLogin(absl::StrCat("services[", i, "].instance.username"), instance.username()));
    LH_ASSIGN_OR_RETURN(*instance.mutable_password_file(), secrets.PasswordFile(LoginSecret(service.name())));
    LH_ASSIGN_OR_RETURN(*instance.mutable_role_key_file(), secrets.PasswordFile(RoleKeySecret(service.name())));
  }
  return effective;
}

absl::StatusOr<std::string> StackEnv(const Ports& ports, SecretFolder& secrets, const std::string& certificates) {
  std::string text =
      absl::StrCat("LEASEHOLD_GATEWAY=", Reach(ports.grpc), "\nLEASEHOLD_SQL=", Reach(ports.sql),
                   "\nLEASEHOLD_HTTP=", Reach(ports.http), "\nLEASEHOLD_NATS=", NatsUrl(ports, certificates), "\n");
  if (!certificates.empty()) {
    for (const auto& [variable, file] : {std::pair("LEASEHOLD_CA", "ca.crt"), std::pair("LEASEHOLD_CERT", "client.crt"),
                                         std::pair("LEASEHOLD_KEY", "client.key")}) {
      absl::StrAppend(&text, variable, "=", ForShell(absl::StrCat(certificates, "/", file)), "\n");
    }
  }
  auto servers = ports.instances;
  servers["registry"] = ports.registry;
  for (const auto& [server, port] : servers) {
    LH_ASSIGN_OR_RETURN(const Secret password, secrets.Password(SuperuserSecret(ServerOf(ports, server))));
    // Hex digits: nothing to quote, neither for a URI nor for a shell.
    absl::StrAppend(&text, InstanceVariable(server), "=postgresql://postgres:", std::string(password.reveal()),
                    "@127.0.0.1:", port, "/postgres\n");
  }
  return text;
}

}  // namespace leasehold::stack
