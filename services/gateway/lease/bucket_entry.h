// What an entry of the key-value bucket `leases` says. Other gateways write them; so may whoever NATS lets.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "leasehold/v1/lease.pb.h"

namespace leasehold::gateway {

// Keys: "revocation.<time>-<random>", "news.<writer>-<number>", or the lease's id.
inline constexpr std::string_view kRevocationPrefix = "revocation.";
inline constexpr std::string_view kNewsPrefix = "news.";
// Records in one entry of news.
inline constexpr size_t kMaxNews = 1024;

struct LeaseNewsEntry {
  std::vector<v1::LeaseRecord> records;  // those that can be records
  absl::Status wrong;                    // what is wrong with one of the others
};

using BucketEntry = std::variant<v1::Revocation, v1::LeaseRecord, LeaseNewsEntry>;

// INVALID_ARGUMENT if it is none of these. A record's claims pass CheckClaims, and one alone has its id for a key.
absl::StatusOr<BucketEntry> ParseBucketEntry(const std::string& key, std::string_view value);

}  // namespace leasehold::gateway
