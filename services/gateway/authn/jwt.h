// JSON Web Tokens (RFC 7519) in the compact form, signed: what a bearer token that is no API token has to be.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/gateway/authn/key_set.h"

namespace leasehold::gateway {

// Longer ones are refused unread. gRPC itself takes 8 KiB of headers.
inline constexpr size_t kMaxJwt = 8192;
// How far the issuer's clock may be from ours.
inline constexpr absl::Duration kJwtLeeway = absl::Seconds(30);

// The parts of a token, decoded and of the right shape; nothing of it is proven. For whoever signed it.
struct Jwt {
  JwtAlgorithm algorithm;
  std::string kid;  // empty: none
  std::string signed_text;
  std::string signature;
  std::string issuer;
  std::string subject;
  std::vector<std::string> audiences;
  absl::Time expiry;
  absl::Time not_before = absl::InfinitePast();
};

// BAD_TOKEN "the bearer token is not valid: <why>".
absl::Status BadToken(std::string_view why);

// BAD_TOKEN says what is wrong with it, never what is in it.
absl::StatusOr<Jwt> ParseJwt(std::string_view token);

// Whose tokens are believed.
struct JwtIssuer {
  std::string issuer;
  std::string audience;
  std::shared_ptr<const KeySet> keys;
};

// OK if `issuer` signed it for its audience, and `now` is within its time. BAD_TOKEN.
absl::Status CheckOrigin(const Jwt& jwt, const JwtIssuer& issuer);
absl::Status CheckTime(absl::Time now, absl::Time not_before, absl::Time expiry);

}  // namespace leasehold::gateway
