// API tokens: 256 random bits for callers that have neither a certificate nor an identity provider. The file keeps
// their hashes only, so that who reads it can show none of them. `leasehold token` writes it, gateways read it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/secret/secret.h"

namespace leasehold {

inline constexpr std::string_view kApiTokenPrefix = "lht_";

struct ApiToken {
  std::string name;
  std::string sha256;  // 64 hex digits; a password of 256 bits needs no stretching
  absl::Time created;
  absl::Time expires = absl::InfiniteFuture();
};

// 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit. INVALID_FIELD "name".
absl::Status CheckTokenName(std::string_view name);

// A new token: what its holder shows, and what is kept of it.
struct NewApiToken {
  Secret text;
  ApiToken kept;
};
NewApiToken MakeApiToken(std::string name, absl::Time now, absl::Time expires);

// The lines of a tokens file: "NAME SHA256 CREATED EXPIRES", times as in RFC 3339, "never" for none.
class ApiTokens {
 public:
  // INVALID_FIELD names the line at fault. Empty lines and such as begin with '#' are skipped.
  static absl::StatusOr<ApiTokens> Parse(std::string_view text);
  std::string ToText() const;

  // The token with this text; nullptr if there is none.
  const ApiToken* Find(std::string_view text) const;
  // The one that is kept as `sha256`.
  const ApiToken* FindKept(std::string_view sha256) const;

  const std::vector<ApiToken>& list() const { return tokens_; }
  // INVALID_FIELD "name" if there is one of that name.
  absl::Status Add(ApiToken token);
  // False if there is none of that name.
  bool Remove(std::string_view name);

 private:
  std::vector<ApiToken> tokens_;
  absl::flat_hash_map<std::string, size_t> by_hash_;  // what a look-up's time tells is about hashes only
};

}  // namespace leasehold
