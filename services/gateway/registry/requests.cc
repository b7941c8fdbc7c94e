#include "services/gateway/registry/requests.h"

#include "common/status/error.h"
#include "services/gateway/registry/rows.h"

namespace leasehold::gateway {

absl::StatusOr<std::optional<std::string>> ClaimRequest(postgres::Transaction& tx, const RequestKey& key,
                                                        absl::Time now) {
  if (key.id.empty()) return std::nullopt;
  LH_ASSIGN_OR_RETURN(
      const pqxx::result claimed,
      tx.Exec("INSERT INTO leasehold.requests (request_id, fingerprint, create_time) VALUES ($1, $2, $3)"
              " ON CONFLICT (request_id) DO NOTHING RETURNING 1",
              {key.id, key.fingerprint, rows::Time(now)}));
  if (!claimed.empty()) return std::nullopt;
  LH_ASSIGN_OR_RETURN(
      const pqxx::result known,
      tx.Exec("SELECT fingerprint, response::text FROM leasehold.requests WHERE request_id = $1", {key.id}));
  if (known.empty()) {  // forgotten in between; the caller may simply try again
    return WithRetryAfter(Error(v1::REASON_REGISTRY_UNAVAILABLE, "the request could not be looked up; try again"),
                          absl::Milliseconds(100));
  }
  if (known[0][0].as<std::string>() != key.fingerprint) {
    return Error(v1::REASON_REQUEST_ID_REUSED, "request_id was used before for a different request");
  }
  return rows::FromBytea(known[0][1].as<std::string>());
}

absl::Status RecordAnswer(postgres::Transaction& tx, const RequestKey& key, const std::string& answer) {
  if (key.id.empty()) return absl::OkStatus();
  return tx
      .Exec("UPDATE leasehold.requests SET response = $2::bytea WHERE request_id = $1", {key.id, rows::Bytea(answer)})
      .status();
}

absl::Status ForgetRequests(postgres::Transaction& tx, absl::Time before) {
  return tx.Exec("DELETE FROM leasehold.requests WHERE create_time < $1", {rows::Time(before)}).status();
}

}  // namespace leasehold::gateway
