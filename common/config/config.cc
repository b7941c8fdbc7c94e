#include "common/config/config.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <format>
#include <fstream>
#include <map>
#include <sstream>

#include "common/config/defaults.h"
#include "common/config/encryption.h"
#include "common/config/environment.h"
#include "common/config/rules.h"
#include "common/config/yaml_reader.h"
#include "common/status/error.h"

namespace leasehold {
namespace {

namespace fs = std::filesystem;

absl::Status NormalizeNames(v1::Config& config) {
  std::map<std::string, int> first;
  for (int i = 0; i < config.services_size(); ++i) {
    const std::string field = std::format("services[{}].name", i);
    const absl::StatusOr<ServiceName> name = ServiceName::Parse(config.services(i).name());
    if (!name.ok()) return WithField(name.status(), field);
    const auto [before, is_new] = first.emplace(name->str(), i);
    if (!is_new) {
      return InvalidField(field, config.services(i).name(),
                          std::format("a name other than that of services[{}]", before->second));
    }
    config.mutable_services(i)->set_name(name->str());
  }
  if (config.services().empty()) return InvalidField("services", "[]", "at least one service");
  return absl::OkStatus();
}

void MakeAbsolute(std::string& path, const fs::path& base) {
  if (!path.empty()) path = (base / path).lexically_normal();
}

void MakePathsAbsolute(v1::Config& config, const fs::path& base) {
  MakeAbsolute(*config.mutable_gateway()->mutable_policy_file(), base);
  MakeAbsolute(*config.mutable_gateway()->mutable_tokens_file(), base);
  for (v1::JwtIssuerConfig& jwt : *config.mutable_gateway()->mutable_jwt()) {
    MakeAbsolute(*jwt.mutable_keys_file(), base);
  }
  for (std::string* path : config::EncryptionFiles(config)) MakeAbsolute(*path, base);
  MakeAbsolute(*config.mutable_registry()->mutable_password_file(), base);
  MakeAbsolute(*config.mutable_leases()->mutable_signing_keys_file(), base);
  MakeAbsolute(*config.mutable_provisioner()->mutable_backup_folder(), base);
  MakeAbsolute(*config.mutable_provisioner()->mutable_token_file(), base);
  for (v1::ServiceConfig& service : *config.mutable_services()) {
    MakeAbsolute(*service.mutable_migrations(), base);
    MakeAbsolute(*service.mutable_instance()->mutable_password_file(), base);
    MakeAbsolute(*service.mutable_instance()->mutable_role_key_file(), base);
  }
}

absl::Status CheckAddressesDiffer(const v1::Config& config) {
  std::map<std::string, std::string> taken;
  const auto take = [&taken](const std::string& field, const std::string& address) {
    const auto [before, is_new] = taken.emplace(address, field);
    if (is_new) return absl::OkStatus();
    return InvalidField(field, address, std::format("an address other than that of {}", before->second));
  };
  LH_RETURN_IF_ERROR(take("gateway.grpc_listen", config.gateway().grpc_listen()));
  LH_RETURN_IF_ERROR(take("gateway.sql_listen", config.gateway().sql_listen()));
  LH_RETURN_IF_ERROR(take("gateway.http_listen", config.gateway().http_listen()));
  for (int i = 0; i < config.services_size(); ++i) {
    LH_RETURN_IF_ERROR(take(std::format("services[{}].http_listen", i), config.services(i).http_listen()));
  }
  return absl::OkStatus();
}

// Services that share an instance are kept apart by their logins: what another's role owns is not a provisioner's to
// touch.
absl::Status CheckSharedInstances(const v1::Config& config) {
  for (int i = 0; i < config.services_size(); ++i) {
    const v1::InstanceConfig& instance = config.services(i).instance();
    for (int j = 0; j < i; ++j) {
      const v1::InstanceConfig& other = config.services(j).instance();
      if (instance.host() != other.host() || instance.port() != other.port()) continue;
      const std::string where = std::format("services[{}]'s, as both are on {}:{}; or an instance of its own", j,
                                            instance.host(), instance.port());
      if (instance.username() == other.username()) {
        return InvalidField(std::format("services[{}].instance.username", i), instance.username(),
                            std::format("a login other than {}", where));
      }
      if (instance.database() == other.database()) {
        return InvalidField(std::format("services[{}].instance.database", i), instance.database(),
                            std::format("a database other than {}", where));
      }
    }
  }
  return absl::OkStatus();
}

// Two entries of one issuer would leave open whose keys and audience count. A principal is jwt:ISSUER/SUBJECT: where
// one issuer is the beginning of another, its subjects could pass for the other's.
absl::Status CheckIssuersDiffer(const v1::GatewayConfig& gateway) {
  std::map<std::string, int> first;
  for (int i = 0; i < gateway.jwt_size(); ++i) {
    const auto [before, is_new] = first.emplace(gateway.jwt(i).issuer(), i);
    if (is_new) continue;
    return InvalidField(std::format("gateway.jwt[{}].issuer", i), gateway.jwt(i).issuer(),
                        std::format("an issuer other than that of gateway.jwt[{}]", before->second));
  }
  for (const auto& [issuer, i] : first) {
    const auto longer = first.lower_bound(issuer + "/");
    if (longer == first.end() || !longer->first.starts_with(issuer + "/")) continue;
    return InvalidField(std::format("gateway.jwt[{}].issuer", longer->second), longer->first,
                        std::format("an issuer that does not begin with that of gateway.jwt[{}] and a '/'", i));
  }
  return absl::OkStatus();
}

// What no single field shows.
absl::Status CheckTogether(const v1::Config& config, TlsFiles tls) {
  if (tls == TlsFiles::kNamed) LH_RETURN_IF_ERROR(config::CheckEncryption(config));
  const absl::Duration max_ttl = ToDuration(config.leases().max_ttl());
  if (const absl::Duration ttl = ToDuration(config.leases().default_ttl()); ttl > max_ttl) {
    return InvalidField("leases.default_ttl", absl::FormatDuration(ttl),
                        std::format("at most leases.max_ttl, {}", absl::FormatDuration(max_ttl)));
  }
  const absl::Duration max_backoff = ToDuration(config.provisioner().max_backoff());
  if (const absl::Duration backoff = ToDuration(config.provisioner().min_backoff()); backoff > max_backoff) {
    return InvalidField("provisioner.min_backoff", absl::FormatDuration(backoff),
                        std::format("at most provisioner.max_backoff, {}", absl::FormatDuration(max_backoff)));
  }
  LH_RETURN_IF_ERROR(CheckIssuersDiffer(config.gateway()));
  LH_RETURN_IF_ERROR(CheckSharedInstances(config));
  return CheckAddressesDiffer(config);
}

}  // namespace

absl::StatusOr<v1::Config> ParseConfig(std::string_view yaml, const std::string& base_dir, const Environment& env,
                                       TlsFiles tls) {
  v1::Config config = config::Defaults();
  LH_RETURN_IF_ERROR(config::ReadYaml(yaml, config, "configuration"));
  LH_RETURN_IF_ERROR(config::ApplyEnvironment(config, env));
  LH_RETURN_IF_ERROR(NormalizeNames(config));
  config::FillDerived(config);
  LH_RETURN_IF_ERROR(config::Rules().CheckAll(config));
  LH_RETURN_IF_ERROR(CheckTogether(config, tls));
  MakePathsAbsolute(config, fs::current_path() / base_dir);
  return config;
}

absl::StatusOr<std::string> ReadTextFile(std::string_view what, const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (file && file.peek() != EOF) text << file.rdbuf();
  if (!file.is_open() || file.bad()) {
    return absl::FailedPreconditionError(std::format("cannot read the {} file {}: {}", what, path, strerror(errno)));
  }
  return text.str();
}

absl::StatusOr<v1::Config> LoadConfig(const std::string& path, const Environment& env, TlsFiles tls) {
  LH_ASSIGN_OR_RETURN(const std::string text, ReadTextFile("configuration", path));
  return ParseConfig(text, fs::path(path).parent_path(), env, tls);
}

absl::StatusOr<v1::ServiceConfig> FindService(const v1::Config& config, const ServiceName& name) {
  std::string known;
  for (const v1::ServiceConfig& service : config.services()) {
    if (service.name() == name.str()) return service;
    known += known.empty() ? service.name() : ", " + service.name();
  }
  return Error(v1::REASON_SERVICE_NOT_FOUND, std::format("there is no service {}; configured: {}", name.str(), known));
}

}  // namespace leasehold
