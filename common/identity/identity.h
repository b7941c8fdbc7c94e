// Names, parsed once at the border and trusted afterwards. Each type can only hold a valid value. Thread-compatible
// values.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace leasehold {

// `[a-z0-9]([a-z0-9-]{0,34}[a-z0-9])?`: 1 to 36 bytes, so that a UUID fits. No `_`, see DatabaseName.
class TenantId {
 public:
  // INVALID_FIELD with field "tenant" (callers add a prefix with WithFieldPrefix).
  static absl::StatusOr<TenantId> Parse(std::string_view text);
  const std::string& str() const { return text_; }
  auto operator<=>(const TenantId&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const TenantId& id) {
    return H::combine(std::move(h), id.text_);
  }

 private:
  explicit TenantId(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

// `[a-z][a-z0-9-]{0,15}` after every trailing "-service" was dropped (so that a parsed name parses to itself):
// "identity-service" is "identity". INVALID_FIELD "service".
class ServiceName {
 public:
  static absl::StatusOr<ServiceName> Parse(std::string_view text);
  const std::string& str() const { return text_; }
  auto operator<=>(const ServiceName&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const ServiceName& name) {
    return H::combine(std::move(h), name.text_);
  }

 private:
  explicit ServiceName(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

// Names on an instance. At most 63 bytes, PostgreSQL's NAMEDATALEN - 1:
// "tenant_" 7 + id 36 + "_" 1 + service 16 + "_ro" 3 = 63.
std::string TenantDatabaseName(const TenantId& tenant,
                               const ServiceName& service);  // tenant_acme_identity; also its owner
std::string TenantReadOnlyRole(const TenantId& tenant, const ServiceName& service);  // tenant_acme_identity_ro
std::string CentralRole(const ServiceName& service);                                 // identity_central
std::string CentralReadOnlyRole(const ServiceName& service);                         // identity_central_ro

// The inverse of TenantDatabaseName: which tenant's database of this service a name is; nullopt if it is none.
std::optional<TenantId> TenantOfDatabase(std::string_view database, const ServiceName& service);

// 16 random bytes that sort by time: 48 bits of milliseconds since 1970, 80 random bits. Text: 26 characters of
// lower-case Crockford base32.
class LeaseId {
 public:
  static LeaseId Make(int64_t unix_ms, const uint8_t random[10]);
  static absl::StatusOr<LeaseId> Parse(std::string_view text);  // INVALID_FIELD "lease"
  static absl::StatusOr<LeaseId> FromBytes(std::string_view sixteen_bytes);
  int64_t unix_ms() const;
  std::string str() const;
  std::string_view bytes() const { return {bytes_.data(), bytes_.size()}; }  // lives as long as the id
  bool operator==(const LeaseId&) const = default;
  auto operator<=>(const LeaseId& other) const { return bytes() <=> other.bytes(); }
  template <typename H>
  friend H AbslHashValue(H h, const LeaseId& id) {
    return H::combine_contiguous(std::move(h), id.bytes_.data(), id.bytes_.size());
  }

 private:
  using Bytes = std::array<char, 16>;
  explicit LeaseId(const Bytes& bytes) : bytes_(bytes) {}
  Bytes bytes_;
};

// A lower-case DNS name of 1 to 253 bytes, labels of 1 to 63 out of `[a-z0-9-]` without `-` at either end.
// INVALID_FIELD "domain". Upper case is folded, not refused.
absl::StatusOr<std::string> ParseDomain(std::string_view text);

// 1 to 200 characters of valid UTF-8 without control characters. INVALID_FIELD "name".
absl::StatusOr<std::string> ParseDisplayName(std::string_view text);

// Glob over tenant ids: `*` stands for any run of characters, everything else for itself. 1 to 64 bytes of
// `[a-z0-9*-]`.
absl::StatusOr<std::string> ParseTenantGlob(std::string_view text);  // INVALID_FIELD "switch_to"
// In time proportional to the product of the lengths at worst.
bool GlobMatches(std::string_view glob, std::string_view text);

}  // namespace leasehold
