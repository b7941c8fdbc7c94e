// What a caller wants of a lease: the request, checked at the border.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/identity/identity.h"
#include "leasehold/v1/lease.pb.h"
#include "services/gateway/lease/lease_bounds.h"
#include "services/gateway/lease/services.h"

namespace leasehold::gateway {

struct LeaseTerms {
  ServiceName service;
  // Exactly one of the three.
  std::optional<TenantId> tenant = std::nullopt;
  std::string domain = {};
  std::string connection = {};
  v1::Access access = v1::ACCESS_READ_WRITE;
  absl::Duration ttl = {};
  std::vector<std::string> switch_to = {};
  std::string holder = {};
  bool session = false;
  absl::Duration wait_ready = {};
  std::string request_id = {};
  uint64_t request_hash = 0;  // 0 without a request_id
  // Not of the request: who makes it, and by what the policy bounds that.
  std::string principal = {};
  LeaseBounds bounds = {};
};

// INVALID_FIELD, SERVICE_NOT_FOUND, CONNECTION_NOT_FOUND. `default_ttl`: for a request without ttl.
absl::StatusOr<LeaseTerms> ParseTerms(const v1::AcquireLeaseRequest& request, const KnownServices& services,
                                      absl::Duration default_ttl, absl::Duration max_ttl);

// 1 s to `max_ttl`; INVALID_FIELD "ttl".
absl::StatusOr<absl::Duration> ParseTtl(const google::protobuf::Duration& ttl, absl::Duration max_ttl);

// At most 128 printable characters, or none: holders and request ids. INVALID_FIELD `field`.
absl::Status CheckLabel(std::string_view field, const std::string& text);

}  // namespace leasehold::gateway
