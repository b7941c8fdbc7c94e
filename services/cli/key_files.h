// The files of keys as `leasehold keys` changes them. No I/O; texts in and out are secret.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/secret/secret.h"

namespace leasehold::cli {

// Of a file of signing keys. Its comments say "# <key id> signs next" and "# <key id> signed until <time>"; others are
// not kept.
struct SigningKeyLine {
  uint32_t id = 0;
  bool signs = false;
  bool next = false;
  absl::Time retired = absl::InfiniteFuture();  // infinite: it is not, or nobody noted when
};
absl::StatusOr<std::vector<SigningKeyLine>> ListSigningKeys(std::string_view text);

// The next key stands second, under an id that has not been used: all gateways shall know it before any signs with it.
// One that is there already stays.
absl::StatusOr<Secret> WithNextSigningKey(std::string_view text);
// The next key signs now; the one that did is kept to verify.
absl::StatusOr<Secret> WithNextKeySigning(std::string_view text, absl::Time now);
// Without the keys that were retired for longer than `kept`.
absl::StatusOr<Secret> WithoutRetiredKeys(std::string_view text, absl::Time now, absl::Duration kept);

// Of a file of role keys: the next key second, for gateways to know before roles have its passwords.
// FAILED_PRECONDITION if there is a second key: roles may have passwords of either.
absl::StatusOr<Secret> WithNextRoleKey(std::string_view text);
// The second key becomes the current one, and the other way round.
absl::StatusOr<Secret> WithOtherRoleKeyCurrent(std::string_view text);
absl::StatusOr<Secret> WithoutOtherRoleKey(std::string_view text);
bool HasOtherRoleKey(std::string_view text);

}  // namespace leasehold::cli
