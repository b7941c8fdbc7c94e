// The secrets that a gateway reads at its start.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "common/config/config.h"
#include "common/secret/secret.h"
#include "leasehold/v1/config.pb.h"

namespace leasehold::gateway {

struct Secrets {
  SigningKeys signing_keys;
  std::map<std::string, RoleKey> role_keys;  // by service
  Secret registry_password;                  // empty: none is needed
};

// INVALID_FIELD with the field whose file is missing or does not hold what it should.
absl::StatusOr<Secrets> ReadSecrets(const v1::Config& config, const Environment& environment);

}  // namespace leasehold::gateway
