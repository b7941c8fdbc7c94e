// A lease's claims and the SQL user name that carries them: "lh1." + base64url(serialized LeaseClaims). The user name
// comes from strangers before they have proven anything, so its decoder is bounded and accepts one spelling of each
// value only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/identity/identity.h"
#include "leasehold/v1/lease.pb.h"

namespace leasehold::gateway {

inline constexpr std::string_view kUserNamePrefix = "lh1.";
inline constexpr size_t kMaxUserName = 1024;
inline constexpr std::string_view kCentralConnection = "central";

// Limits of a lease's globs: what is left of kMaxUserName after all other claims (at most 130 bytes before base64).
inline constexpr int kMaxSwitchGlobs = 16;
inline constexpr size_t kMaxSwitchBytes = 512;

// Of claims that pass CheckClaims.
std::string UserNameOf(const v1::LeaseClaims& claims);

// BAD_CREDENTIALS, always with the same text, unless `user_name` is what UserNameOf makes of some valid claims. Says
// nothing about whether the claims are true: that is proven with the password.
absl::StatusOr<v1::LeaseClaims> ParseUserName(std::string_view user_name);

// INVALID_FIELD if a field is outside its grammar or there are unknown fields.
absl::Status CheckClaims(const v1::LeaseClaims& claims);

// The one answer to every kind of wrong user name or password.
absl::Status BadCredentials();

// True if sessions of a lease with these claims may be at `tenant`: its home, or matched by switch_to.
bool MayReach(const v1::LeaseClaims& claims, const TenantId& tenant);

// LeaseClaims.holder_hash of a holder; 0 for an empty one.
uint64_t HolderHash(std::string_view holder);

}  // namespace leasehold::gateway
