#include "services/gateway/secrets.h"

#include <format>
#include <utility>

#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

// `why` names the file and what is wrong with it, not what is in it.
absl::Status BadFile(std::string_view field, const std::string& path, std::string_view allowed,
                     const absl::Status& why) {
  if (path.empty()) return InvalidField(field, path, allowed);
  return InvalidField(field, path, std::format("{} ({})", allowed, why.message()));
}

absl::StatusOr<Secret> ReadRegistryPassword(const v1::RegistryConfig& registry, const Environment& environment) {
  if (auto password = environment("LEASEHOLD_REGISTRY_PASSWORD")) return Secret(*std::move(password));
  if (registry.password_file().empty()) return Secret();
  auto password = ReadSecretFile(registry.password_file());
  if (!password.ok()) {
    return BadFile("registry.password_file", registry.password_file(), "a readable file with the password",
                   password.status());
  }
  return password;
}

}  // namespace

absl::StatusOr<Secrets> ReadSecrets(const v1::Config& config, const Environment& environment) {
  const std::string& keys_file = config.leases().signing_keys_file();
  absl::StatusOr<SigningKeys> keys = SigningKeys::ReadFile(keys_file);
  if (!keys.ok()) {
    return BadFile("leases.signing_keys_file", keys_file, "a file of lines \"<key id> <64 hex digits>\"",
                   keys.status());
  }
  Secrets secrets{.signing_keys = *std::move(keys), .role_keys = {}, .registry_password = {}};
  for (int i = 0; i < config.services_size(); ++i) {
    const std::string& path = config.services(i).instance().role_key_file();
    absl::StatusOr<RoleKeys> key = RoleKeys::ReadFile(path);
    if (!key.ok()) {
      return BadFile(std::format("services[{}].instance.role_key_file", i), path,
                     "a file of 64 hex digits, or of two such lines: the current key and another", key.status());
    }
    secrets.role_keys.emplace(config.services(i).name(), *std::move(key));
  }
  LH_ASSIGN_OR_RETURN(secrets.registry_password, ReadRegistryPassword(config.registry(), environment));
  return secrets;
}

absl::Status WatchKeys(const v1::Config& config, const Secrets& secrets, Reloader& reloader) {
  const auto use_signing_keys = [keys = secrets.signing_keys](std::string_view text) mutable -> absl::Status {
    LH_ASSIGN_OR_RETURN(SigningKeys now, SigningKeys::Parse(text));
    keys.Replace(std::move(now));
    return absl::OkStatus();
  };
  LH_RETURN_IF_ERROR(reloader.WatchSecret("signing keys", config.leases().signing_keys_file(), use_signing_keys));
  for (const v1::ServiceConfig& service : config.services()) {
    const auto use_role_keys =
        [keys = secrets.role_keys.at(service.name())](std::string_view text) mutable -> absl::Status {
      LH_ASSIGN_OR_RETURN(const RoleKeys now, RoleKeys::Parse(text));
      keys.Replace(now);
      return absl::OkStatus();
    };
    LH_RETURN_IF_ERROR(reloader.WatchSecret(std::format("role key of {}", service.name()),
                                            service.instance().role_key_file(), use_role_keys));
  }
  return absl::OkStatus();
}

}  // namespace leasehold::gateway
