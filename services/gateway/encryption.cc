#include "services/gateway/encryption.h"

#include <array>
#include <format>
#include <utility>

#include "common/daemon/exposure.h"
#include "common/status/error.h"
#include "services/gateway/session/endpoint.h"

namespace leasehold::gateway {
namespace {

tls::Options ServerOptions(const std::string& prefix, const std::string& certificate, const std::string& key,
                           const std::string& client_ca) {
  return {.role = tls::Role::kServer,
          .certificate = {.field = prefix + "certificate_file", .path = certificate},
          .key = {.field = prefix + "key_file", .path = key},
          .ca = {.field = prefix + "client_ca_file", .path = client_ca}};
}

}  // namespace

absl::StatusOr<Encryption> ReadEncryption(const v1::Config& config, tls::Watcher& watcher) {
  const v1::GatewayConfig& gateway = config.gateway();
  Encryption encryption;
  if (!gateway.grpc_certificate_file().empty()) {
    LH_ASSIGN_OR_RETURN(encryption.grpc,
                        watcher.Watch("grpc", ServerOptions("gateway.grpc_", gateway.grpc_certificate_file(),
                                                            gateway.grpc_key_file(), gateway.grpc_client_ca_file())));
  }
  if (!gateway.sql_certificate_file().empty()) {
    tls::Options options = ServerOptions("gateway.sql_", gateway.sql_certificate_file(), gateway.sql_key_file(), "");
    options.prepare = SqlEndpoint::PrepareTls;
    LH_ASSIGN_OR_RETURN(encryption.sql, watcher.Watch("sql", std::move(options)));
  }
  if (!gateway.http_certificate_file().empty()) {
    LH_ASSIGN_OR_RETURN(encryption.http,
                        watcher.Watch("http", ServerOptions("gateway.http_", gateway.http_certificate_file(),
                                                            gateway.http_key_file(), gateway.http_client_ca_file())));
  }
  for (int i = 0; i < config.services_size(); ++i) {
    const v1::ServiceConfig& service = config.services(i);
    if (service.instance().ca_file().empty()) continue;
    const tls::Options options{
        .role = tls::Role::kClient,
        .ca = {.field = std::format("services[{}].instance.ca_file", i), .path = service.instance().ca_file()}};
    LH_ASSIGN_OR_RETURN(encryption.instances[service.name()], watcher.Watch("instance/" + service.name(), options));
  }
  return encryption;
}

rpc::ClientCertificate ClientCertificateOf(const v1::GatewayConfig& gateway) {
  if (gateway.grpc_client_ca_file().empty()) return rpc::ClientCertificate::kNotAsked;
  return gateway.grpc_client_certificate() == "optional" ? rpc::ClientCertificate::kOptional
                                                         : rpc::ClientCertificate::kRequired;
}

absl::Status CheckExposure(const v1::GatewayConfig& gateway, bool insecure) {
  const bool asks = ClientCertificateOf(gateway) == rpc::ClientCertificate::kRequired || !gateway.policy_file().empty();
  const std::array<Port, 3> ports = {Port{.field = "gateway.grpc_listen",
                                          .address = gateway.grpc_listen(),
                                          .encrypted = !gateway.grpc_certificate_file().empty(),
                                          .encrypted_by = "gateway.grpc_certificate_file",
                                          .authenticated = asks,
                                          .authenticated_by = "gateway.grpc_client_ca_file or gateway.policy_file"},
                                     Port{.field = "gateway.sql_listen",
                                          .address = gateway.sql_listen(),
                                          .encrypted = !gateway.sql_certificate_file().empty(),
                                          .encrypted_by = "gateway.sql_certificate_file",
                                          .authenticated = true},  // by a lease, always
                                     Port{.field = "gateway.http_listen",
                                          .address = gateway.http_listen(),
                                          .encrypted = !gateway.http_certificate_file().empty(),
                                          .encrypted_by = "gateway.http_certificate_file",
                                          .authenticated = !gateway.http_client_ca_file().empty(),
                                          .authenticated_by = "gateway.http_client_ca_file"}};
  return leasehold::CheckExposure(ports, insecure);
}

}  // namespace leasehold::gateway
