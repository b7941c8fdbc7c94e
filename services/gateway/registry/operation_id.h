// What operations and backups are called: the tenant and the generation of the change that began them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/identity/identity.h"

namespace leasehold::gateway {

// "<tenant>.<generation>"
struct OperationId {
  TenantId tenant;
  int64_t generation = 0;
  // INVALID_FIELD "id".
  static absl::StatusOr<OperationId> Parse(std::string_view text);
  std::string str() const;
};

}  // namespace leasehold::gateway
