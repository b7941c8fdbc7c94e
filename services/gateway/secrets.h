// The secrets that a gateway reads: at its start, and its keys again when they change.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "common/config/config.h"
#include "common/daemon/reloader.h"
#include "common/secret/key_ring.h"
#include "common/secret/secret.h"
#include "leasehold/v1/config.pb.h"

namespace leasehold::gateway {

struct Secrets {
  LeaseKeys signing_keys;
  std::map<std::string, RoleKeys> role_keys;  // by service
  Secret registry_password;                   // empty: none is needed
};

// INVALID_FIELD with the field whose file is missing or does not hold what it should.
absl::StatusOr<Secrets> ReadSecrets(const v1::Config& config, const Environment& environment);

// Has `reloader` replace the keys that `secrets` and all copies of them hold.
absl::Status WatchKeys(const v1::Config& config, const Secrets& secrets, Reloader& reloader);

}  // namespace leasehold::gateway
