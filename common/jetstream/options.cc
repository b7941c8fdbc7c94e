#include "common/jetstream/options.h"

#include <format>
#include <fstream>
#include <utility>

#include "absl/time/clock.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "common/tls/credentials.h"

namespace leasehold::jetstream {
namespace {

absl::StatusOr<Secret> ReadPassword(const v1::NatsConfig& config, const Environment& environment) {
  const auto variable = environment("LEASEHOLD_NATS_PASSWORD");
  if (variable && !variable->empty()) return Secret(*variable);
  if (config.password_file().empty()) {
    return InvalidField("nats.password_file", "",
                        "a file with the password of nats.username, or LEASEHOLD_NATS_PASSWORD");
  }
  absl::StatusOr<Secret> password = ReadSecretFile(config.password_file());
  if (password.ok()) return password;
  return InvalidField("nats.password_file", config.password_file(),
                      std::format("a readable file with the password ({})", StdView(password.status().message())));
}

}  // namespace

absl::StatusOr<Security> ReadSecurity(const v1::NatsConfig& config, const Environment& environment) {
  Security security{.ca_file = config.ca_file(),
                    .certificate_file = config.certificate_file(),
                    .key_file = config.key_file(),
                    .credentials_file = config.credentials_file(),
                    .username = config.username()};
  // nats.c says little of what is wrong with a file.
  LH_RETURN_IF_ERROR(tls::Credentials::Read({.role = tls::Role::kClient,
                                             .certificate = {"nats.certificate_file", config.certificate_file()},
                                             .key = {"nats.key_file", config.key_file()},
                                             .ca = {"nats.ca_file", config.ca_file()}},
                                            absl::Now())
                         .status());
  if (!config.credentials_file().empty() && !ReadSecretFile(config.credentials_file()).ok()) {
    return InvalidField("nats.credentials_file", config.credentials_file(), "a readable file, as nsc writes it");
  }
  if (!config.username().empty()) {
    LH_ASSIGN_OR_RETURN(security.password, ReadPassword(config, environment));
  }
  return security;
}

}  // namespace leasehold::jetstream
