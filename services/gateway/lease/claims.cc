#include "services/gateway/lease/claims.h"

#include <algorithm>
#include <format>

#include "common/identity/identity.h"
#include "common/secret/secret.h"
#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

// Lease ids hold 48 bits of milliseconds, so no time of a lease lies beyond.
constexpr int64_t kMaxMillis = (int64_t{1} << 48) - 1;

bool IsDatabaseId(std::string_view text) {
  return text.size() == 16 &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

absl::Status CheckHome(const v1::LeaseClaims& claims) {
  if (claims.tenant().empty()) {
    if (claims.connection() != kCentralConnection) {
      return InvalidField("connection", claims.connection(), kCentralConnection);
    }
    if (!claims.database_id().empty()) return InvalidField("database_id", claims.database_id(), "none");
    return absl::OkStatus();
  }
  if (!claims.connection().empty()) return InvalidField("connection", claims.connection(), "none beside a tenant");
  if (!IsDatabaseId(claims.database_id())) return InvalidField("database_id", claims.database_id(), "16 hex digits");
  return TenantId::Parse(claims.tenant()).status();
}

absl::Status CheckGlobs(const v1::LeaseClaims& claims) {
  size_t bytes = 0;
  for (const std::string& glob : claims.switch_to()) {
    LH_RETURN_IF_ERROR(ParseTenantGlob(glob).status());
    bytes += glob.size();
  }
  if (claims.switch_to_size() > kMaxSwitchGlobs || bytes > kMaxSwitchBytes) {
    return InvalidField("switch_to", std::format("{} globs, {} bytes", claims.switch_to_size(), bytes),
                        std::format("at most {} globs, {} bytes in all", kMaxSwitchGlobs, kMaxSwitchBytes));
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::LeaseClaims> Decode(std::string_view user_name) {
  if (user_name.size() > kMaxUserName || !user_name.starts_with(kUserNamePrefix)) return BadCredentials();
  LH_ASSIGN_OR_RETURN(const std::string bytes, FromBase64Url(user_name.substr(kUserNamePrefix.size())));
  v1::LeaseClaims claims;
  if (!claims.ParseFromString(bytes)) return BadCredentials();
  LH_RETURN_IF_ERROR(CheckClaims(claims));
  if (UserNameOf(claims) != user_name) return BadCredentials();  // another spelling of the same claims
  return claims;
}

}  // namespace

std::string UserNameOf(const v1::LeaseClaims& claims) {
  return std::string(kUserNamePrefix) + Base64Url(claims.SerializeAsString());
}

absl::StatusOr<v1::LeaseClaims> ParseUserName(std::string_view user_name) {
  absl::StatusOr<v1::LeaseClaims> claims = Decode(user_name);
  if (!claims.ok()) return BadCredentials();
  return claims;
}

absl::Status CheckClaims(const v1::LeaseClaims& claims) {
  if (!claims.GetReflection()->GetUnknownFields(claims).empty()) return InvalidField("claims", "", "known fields");
  LH_RETURN_IF_ERROR(LeaseId::FromBytes(claims.id()).status());
  LH_ASSIGN_OR_RETURN(const ServiceName service, ServiceName::Parse(claims.service()));
  if (service.str() != claims.service()) return InvalidField("service", claims.service(), service.str());
  LH_RETURN_IF_ERROR(CheckHome(claims));
  if (claims.access() != v1::ACCESS_READ_WRITE && claims.access() != v1::ACCESS_READ_ONLY) {
    return InvalidField("access", std::to_string(static_cast<int>(claims.access())), "READ_WRITE or READ_ONLY");
  }
  if (claims.issue_ms() <= 0 || claims.issue_ms() >= claims.expire_ms() || claims.expire_ms() > kMaxMillis) {
    return InvalidField("expire_ms", std::to_string(claims.expire_ms()), "after issue_ms, within 48 bits");
  }
  return CheckGlobs(claims);
}

absl::Status BadCredentials() {
  return Error(v1::REASON_BAD_CREDENTIALS, "the user name or password is not that of a lease");
}

bool MayReach(const v1::LeaseClaims& claims, const TenantId& tenant) {
  return tenant.str() == claims.tenant() || std::ranges::any_of(claims.switch_to(), [&](const std::string& glob) {
           return GlobMatches(glob, tenant.str());
         });
}

uint64_t HolderHash(std::string_view holder) {
  if (holder.empty()) return 0;
  const auto digest = Sha256(holder);
  uint64_t hash = 0;
  for (int i = 0; i < 8; ++i) hash = hash << 8 | digest[i];
  return hash;
}

}  // namespace leasehold::gateway
