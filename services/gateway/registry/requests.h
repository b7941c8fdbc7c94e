// Writes that carry a request_id happen once: what the first call answered is kept for 24 hours and given again.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/postgres/postgres.h"

namespace leasehold::gateway {

struct RequestKey {
  std::string id;           // empty: not repeatable
  std::string fingerprint;  // of the method and all other fields
};

inline constexpr absl::Duration kRequestsKeptFor = absl::Hours(24);

// Claims the id for this transaction; another one with the same id waits until it ends. The answer is set if the
// request was answered before. REQUEST_ID_REUSED if that was another request.
absl::StatusOr<std::optional<std::string>> ClaimRequest(postgres::Transaction& tx, const RequestKey& key,
                                                        absl::Time now);

// What a repeated request will be answered.
absl::Status RecordAnswer(postgres::Transaction& tx, const RequestKey& key, const std::string& answer);

absl::Status ForgetRequests(postgres::Transaction& tx, absl::Time before);

}  // namespace leasehold::gateway
