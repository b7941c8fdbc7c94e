#include "services/gateway/authn/jwt.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <optional>

#include "common/secret/secret.h"
#include "common/status/error.h"
#include "common/status/utf8.h"
#include "services/gateway/authn/json.h"

namespace leasehold::gateway {
namespace {

using google::protobuf::Struct;

constexpr size_t kMaxSubject = 256;
// What a time of a token may be: the year 9999.
constexpr double kMaxTime = 253402300799.0;

std::optional<Struct> ObjectOf(std::string_view part) {
  const absl::StatusOr<std::string> text = FromBase64Url(part);
  return text.ok() ? ParseJsonObject(*text) : std::nullopt;
}

// A NumericDate; nullopt if it is none.
std::optional<absl::Time> TimeOf(const Struct& claims, const std::string& claim) {
  const auto found = claims.fields().find(claim);
  if (found == claims.fields().end() || !found->second.has_number_value()) return std::nullopt;
  const double seconds = found->second.number_value();
  if (!std::isfinite(seconds) || seconds < 0 || seconds > kMaxTime) return std::nullopt;
  return absl::UnixEpoch() + absl::Seconds(seconds);
}

// One text, or a list of them; empty if it is neither.
std::vector<std::string> AudiencesOf(const Struct& claims) {
  if (const std::optional<std::string> one = TextOf(claims, "aud")) return {*one};
  std::vector<std::string> audiences;
  const auto found = claims.fields().find("aud");
  if (found == claims.fields().end() || !found->second.has_list_value()) return {};
  for (const google::protobuf::Value& value : found->second.list_value().values()) {
    if (!value.has_string_value()) return {};
    audiences.push_back(value.string_value());
  }
  return audiences;
}

bool IsSubject(std::string_view text) {
  if (text.empty() || text.size() > kMaxSubject) return false;
  while (!text.empty()) {
    const Utf8Character character = DecodeUtf8(text);
    if (character.bytes == 0 || IsControl(character.code_point)) return false;
    text.remove_prefix(character.bytes);
  }
  return true;
}

absl::Status ReadHeader(const Struct& header, Jwt& jwt) {
  const std::optional<JwtAlgorithm> algorithm = ParseJwtAlgorithm(TextOf(header, "alg").value_or(""));
  if (!algorithm) return BadToken("its algorithm is none of RS256, ES256, EdDSA");
  // What it names has to be understood, and nothing is; keys that a token brings along are not looked at.
  if (Has(header, "crit")) return BadToken("it has critical extensions");
  jwt.algorithm = *algorithm;
  if (Has(header, "kid")) {
    const std::optional<std::string> kid = TextOf(header, "kid");
    if (!kid || kid->empty()) return BadToken("its kid is no text");
    jwt.kid = *kid;
  }
  return absl::OkStatus();
}

absl::Status ReadClaims(const Struct& claims, Jwt& jwt) {
  jwt.issuer = TextOf(claims, "iss").value_or("");
  jwt.subject = TextOf(claims, "sub").value_or("");
  jwt.audiences = AudiencesOf(claims);
  if (jwt.issuer.empty()) return BadToken("it names no issuer");
  if (!IsSubject(jwt.subject)) return BadToken("it names no subject of 1 to 256 printable bytes");
  const std::optional<absl::Time> expiry = TimeOf(claims, "exp");
  if (!expiry) return BadToken("it has no time of expiry");
  jwt.expiry = *expiry;
  if (Has(claims, "nbf")) {
    const std::optional<absl::Time> not_before = TimeOf(claims, "nbf");
    if (!not_before) return BadToken("its nbf is no time");
    jwt.not_before = *not_before;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status BadToken(std::string_view why) {
  return Error(v1::REASON_BAD_TOKEN, std::format("the bearer token is not valid: {}", why));
}

absl::StatusOr<Jwt> ParseJwt(std::string_view token) {
  if (token.size() > kMaxJwt) return BadToken(std::format("it is longer than {} bytes", kMaxJwt));
  const size_t first = token.find('.');
  const size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
    return BadToken("it is neither an API token nor a signed JWT of three parts");
  }
  const std::optional<Struct> header = ObjectOf(token.substr(0, first));
  const std::optional<Struct> claims = ObjectOf(token.substr(first + 1, second - first - 1));
  absl::StatusOr<std::string> signature = FromBase64Url(token.substr(second + 1));
  if (!header || !claims || !signature.ok()) return BadToken("its parts are not JSON in base64url");
  Jwt jwt{};
  LH_RETURN_IF_ERROR(ReadHeader(*header, jwt));
  LH_RETURN_IF_ERROR(ReadClaims(*claims, jwt));
  if (signature->empty()) return BadToken("it has no signature");
  jwt.signed_text = token.substr(0, second);
  jwt.signature = *std::move(signature);
  return jwt;
}

absl::Status CheckOrigin(const Jwt& jwt, const JwtIssuer& issuer) {
  if (jwt.issuer != issuer.issuer) return BadToken("its issuer is not known here");
  // Before all else that it claims: what a stranger made up is not worth an answer of its own.
  if (!issuer.keys->Verifies(jwt.kid, jwt.algorithm, jwt.signed_text, jwt.signature)) {
    return BadToken("no key of its issuer has signed it");
  }
  if (!std::ranges::contains(jwt.audiences, issuer.audience)) return BadToken("it is for another audience");
  return absl::OkStatus();
}

absl::Status CheckTime(absl::Time now, absl::Time not_before, absl::Time expiry) {
  if (now >= expiry + kJwtLeeway) return BadToken("it has expired");
  if (now < not_before - kJwtLeeway) return BadToken("its time has not come yet");
  return absl::OkStatus();
}

}  // namespace leasehold::gateway
