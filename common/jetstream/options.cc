#include "common/jetstream/options.h"

#include <format>
#include <utility>

#include "common/status/error.h"
#include "common/status/view.h"

namespace leasehold::jetstream {
namespace {

absl::Status ReadPassword(const v1::NatsConfig& config, const Environment& environment, Security& security) {
  const auto variable = environment("LEASEHOLD_NATS_PASSWORD");
  if (variable && !variable->empty()) {
    security.password = Secret(*variable);
    return absl::OkStatus();
  }
  if (config.password_file().empty()) {
    return InvalidField("nats.password_file", "",
                        "a file with the password of nats.username, or LEASEHOLD_NATS_PASSWORD");
  }
  const absl::StatusOr<Secret> password = ReadSecretFile(config.password_file());
  if (!password.ok()) {
    return InvalidField("nats.password_file", config.password_file(),
                        std::format("a readable file with the password ({})", StdView(password.status().message())));
  }
  if (password->reveal_c_str() == nullptr) {
    return InvalidField("nats.password_file", config.password_file(), "a file without a NUL byte");
  }
  security.password_file = config.password_file();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Security> ReadSecurity(const v1::NatsConfig& config, const Environment& environment,
                                      tls::Watcher& watcher) {
  Security security{.credentials_file = config.credentials_file(), .username = config.username()};
  if (!config.ca_file().empty() || !config.certificate_file().empty()) {
    LH_ASSIGN_OR_RETURN(security.certificates,
                        watcher.Watch("nats", {.role = tls::Role::kClient,
                                               .certificate = {"nats.certificate_file", config.certificate_file()},
                                               .key = {"nats.key_file", config.key_file()},
                                               .ca = {"nats.ca_file", config.ca_file()}}));
  }
  if (!config.credentials_file().empty() && !ReadSecretFile(config.credentials_file()).ok()) {
    return InvalidField("nats.credentials_file", config.credentials_file(), "a readable file, as nsc writes it");
  }
  if (!config.username().empty()) LH_RETURN_IF_ERROR(ReadPassword(config, environment, security));
  return security;
}

}  // namespace leasehold::jetstream
