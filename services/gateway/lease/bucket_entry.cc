#include "services/gateway/lease/bucket_entry.h"

#include <utility>

#include "common/identity/identity.h"
#include "common/status/error.h"
#include "services/gateway/lease/claims.h"

namespace leasehold::gateway {
namespace {

// The largest record has a user name of 1 KiB and a holder and request_id of 128 characters.
constexpr size_t kMaxValue = 4096;
// What NATS takes (max_payload).
constexpr size_t kMaxNewsValue = 1024 * 1024;

template <typename Message>
bool Parse(std::string_view value, size_t most, Message& message) {
  return value.size() <= most && message.ParseFromArray(value.data(), static_cast<int>(value.size()));
}

absl::Status CheckRecord(const v1::LeaseRecord& record) {
  LH_RETURN_IF_ERROR(CheckClaims(record.claims()));
  if (record.state() != v1::LEASE_STATE_ACTIVE && record.state() != v1::LEASE_STATE_RELEASED &&
      record.state() != v1::LEASE_STATE_REVOKED) {
    return absl::InvalidArgumentError("a state that is never stored");
  }
  return absl::OkStatus();
}

absl::StatusOr<BucketEntry> ParseNews(std::string_view value) {
  v1::LeaseNews news;
  if (!Parse(value, kMaxNewsValue, news)) return absl::InvalidArgumentError("not a LeaseNews");
  LeaseNewsEntry entry;
  for (v1::LeaseRecord& record : *news.mutable_records()) {
    const absl::Status status = CheckRecord(record);
    entry.wrong.Update(status);
    if (status.ok()) entry.records.push_back(std::move(record));
  }
  return entry;
}

absl::StatusOr<BucketEntry> ParseRecord(const std::string& key, std::string_view value) {
  v1::LeaseRecord record;
  if (!Parse(value, kMaxValue, record)) return absl::InvalidArgumentError("not a LeaseRecord");
  LH_RETURN_IF_ERROR(CheckRecord(record));
  LH_ASSIGN_OR_RETURN(const LeaseId id, LeaseId::FromBytes(record.claims().id()));
  if (id.str() != key) return absl::InvalidArgumentError("the key is another lease's");
  return record;
}

}  // namespace

absl::StatusOr<BucketEntry> ParseBucketEntry(const std::string& key, std::string_view value) {
  if (key.starts_with(kNewsPrefix)) return ParseNews(value);
  if (!key.starts_with(kRevocationPrefix)) return ParseRecord(key, value);
  v1::Revocation revocation;
  if (!Parse(value, kMaxValue, revocation)) return absl::InvalidArgumentError("not a Revocation");
  return revocation;
}

}  // namespace leasehold::gateway
