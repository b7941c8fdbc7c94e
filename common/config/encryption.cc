#include "common/config/encryption.h"

#include <format>
#include <string_view>

#include "common/status/error.h"

namespace leasehold::config {
namespace {

// `name` of "gateway.grpc": the fields "gateway.grpc_certificate_file" and so on.
struct Identity {
  std::string name;
  const std::string& certificate;
  const std::string& key;
};

absl::Status CheckPair(const Identity& identity) {
  if (identity.certificate.empty() == identity.key.empty()) return absl::OkStatus();
  const bool no_key = identity.key.empty();
  return InvalidField(
      std::format("{}{}", identity.name, no_key ? "key_file" : "certificate_file"), "",
      std::format("a path, as {}{} is set; or neither", identity.name, no_key ? "certificate_file" : "key_file"));
}

absl::Status Needs(const std::string& field, const std::string& value, const std::string& needed,
                   std::string_view needed_value) {
  if (value.empty() || !needed_value.empty()) return absl::OkStatus();
  return InvalidField(needed, "", std::format("a path, as {} is set", field));
}

absl::Status CheckGateway(const v1::GatewayConfig& gateway) {
  LH_RETURN_IF_ERROR(CheckPair({"gateway.grpc_", gateway.grpc_certificate_file(), gateway.grpc_key_file()}));
  LH_RETURN_IF_ERROR(CheckPair({"gateway.sql_", gateway.sql_certificate_file(), gateway.sql_key_file()}));
  LH_RETURN_IF_ERROR(CheckPair({"gateway.http_", gateway.http_certificate_file(), gateway.http_key_file()}));
  LH_RETURN_IF_ERROR(Needs("gateway.grpc_client_ca_file", gateway.grpc_client_ca_file(),
                           "gateway.grpc_certificate_file", gateway.grpc_certificate_file()));
  LH_RETURN_IF_ERROR(Needs("gateway.http_client_ca_file", gateway.http_client_ca_file(),
                           "gateway.http_certificate_file", gateway.http_certificate_file()));
  if (gateway.sql_tls() == "required" && gateway.sql_certificate_file().empty()) {
    return InvalidField("gateway.sql_certificate_file", "", "a path, as gateway.sql_tls is required");
  }
  return absl::OkStatus();
}

absl::Status CheckProvisioner(const v1::ProvisionerConfig& provisioner) {
  LH_RETURN_IF_ERROR(CheckPair({"provisioner.", provisioner.certificate_file(), provisioner.key_file()}));
  LH_RETURN_IF_ERROR(
      CheckPair({"provisioner.http_", provisioner.http_certificate_file(), provisioner.http_key_file()}));
  LH_RETURN_IF_ERROR(Needs("provisioner.certificate_file", provisioner.certificate_file(),
                           "provisioner.gateway_ca_file", provisioner.gateway_ca_file()));
  return Needs("provisioner.http_client_ca_file", provisioner.http_client_ca_file(),
               "provisioner.http_certificate_file", provisioner.http_certificate_file());
}

absl::Status CheckNats(const v1::NatsConfig& nats) {
  LH_RETURN_IF_ERROR(CheckPair({"nats.", nats.certificate_file(), nats.key_file()}));
  LH_RETURN_IF_ERROR(Needs("nats.certificate_file", nats.certificate_file(), "nats.ca_file", nats.ca_file()));
  const bool tls = nats.url().starts_with("tls://");
  if (tls && nats.ca_file().empty()) {
    return InvalidField("nats.ca_file", "", "a path, as nats.url begins with tls://");
  }
  if (!tls && !nats.ca_file().empty()) {
    return InvalidField("nats.url", nats.url(), "tls://host:port, as nats.ca_file is set");
  }
  if (!nats.credentials_file().empty() && !nats.username().empty()) {
    return InvalidField("nats.username", nats.username(), "nothing, as nats.credentials_file says who we are");
  }
  if (!nats.password_file().empty() && nats.username().empty()) {
    return InvalidField("nats.username", "", "a name, as nats.password_file is set");
  }
  return absl::OkStatus();
}

absl::Status CheckInstance(const v1::InstanceConfig& instance, const std::string& path) {
  if (instance.sslmode().starts_with("verify-") && instance.ca_file().empty()) {
    return InvalidField(path + ".ca_file", "", std::format("a path, as sslmode is {}", instance.sslmode()));
  }
  if (instance.sslmode() == "disable" && instance.channel_binding() == "require") {
    return InvalidField(path + ".channel_binding", "require", "disable or prefer, as sslmode is disable");
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string*> EncryptionFiles(v1::Config& config) {
  v1::GatewayConfig& gateway = *config.mutable_gateway();
  v1::NatsConfig& nats = *config.mutable_nats();
  v1::ProvisionerConfig& provisioner = *config.mutable_provisioner();
  std::vector<std::string*> files = {
      gateway.mutable_grpc_certificate_file(),
      gateway.mutable_grpc_key_file(),
      gateway.mutable_grpc_client_ca_file(),
      gateway.mutable_sql_certificate_file(),
      gateway.mutable_sql_key_file(),
      gateway.mutable_http_certificate_file(),
      gateway.mutable_http_key_file(),
      gateway.mutable_http_client_ca_file(),
      nats.mutable_ca_file(),
      nats.mutable_certificate_file(),
      nats.mutable_key_file(),
      nats.mutable_credentials_file(),
      nats.mutable_password_file(),
      provisioner.mutable_gateway_ca_file(),
      provisioner.mutable_certificate_file(),
      provisioner.mutable_key_file(),
      provisioner.mutable_http_certificate_file(),
      provisioner.mutable_http_key_file(),
      provisioner.mutable_http_client_ca_file(),
  };
  for (v1::ServiceConfig& service : *config.mutable_services()) {
    files.push_back(service.mutable_instance()->mutable_ca_file());
  }
  return files;
}

absl::Status CheckEncryption(const v1::Config& config) {
  LH_RETURN_IF_ERROR(CheckGateway(config.gateway()));
  LH_RETURN_IF_ERROR(CheckProvisioner(config.provisioner()));
  LH_RETURN_IF_ERROR(CheckNats(config.nats()));
  for (int i = 0; i < config.services_size(); ++i) {
    LH_RETURN_IF_ERROR(CheckInstance(config.services(i).instance(), std::format("services[{}].instance", i)));
  }
  return absl::OkStatus();
}

}  // namespace leasehold::config
