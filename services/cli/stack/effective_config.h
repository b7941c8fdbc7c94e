// What the stack makes of the user's configuration for its daemons, and of itself for shells.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/config/config.h"
#include "services/cli/stack/ports.h"
#include "services/cli/stack/secrets.h"

namespace leasehold::stack {

// The registry's role and database.
inline constexpr char kLogin[] = "leasehold";

// `config` with the stack's own addresses and secret files in place of what it says. No secret is in it. INVALID_FIELD
// for a service whose login is PostgreSQL's own. `certificates`: a folder of dev certificates, for TLS between all of
// them; empty: as the configuration says, which means in clear.
absl::StatusOr<v1::Config> EffectiveConfig(const v1::Config& config, const Ports& ports, SecretFolder& secrets,
                                           const std::string& certificates = "");

// KEY=VALUE lines that bash can source: DESIGN §3. `secrets` gives the superusers' passwords.
absl::StatusOr<std::string> StackEnv(const Ports& ports, SecretFolder& secrets, const std::string& certificates = "");

std::string NatsUrl(const Ports& ports, const std::string& certificates);

// The names of secrets.
std::string SuperuserSecret(const std::string& server);  // server: as ServerOf() names it, or "registry"
std::string LoginSecret(const std::string& service);     // or "registry"
std::string RoleKeySecret(const std::string& service);

}  // namespace leasehold::stack
