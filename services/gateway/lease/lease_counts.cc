#include "services/gateway/lease/lease_counts.h"

#include <format>

#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

// Nobody knows when a lease ends; they do so within minutes.
constexpr absl::Duration kRetryAfter = absl::Seconds(5);

int64_t CountOf(const absl::flat_hash_map<std::string, int64_t>& counts, const std::string& name) {
  const auto found = counts.find(name);
  return found == counts.end() ? 0 : found->second;
}

void Decrement(absl::flat_hash_map<std::string, int64_t>& counts, const std::string& name) {
  const auto found = counts.find(name);
  if (found != counts.end() && --found->second <= 0) counts.erase(found);
}

absl::Status Exceeded(std::string_view field, std::string_view whose, int64_t bound) {
  return WithRetryAfter(WithField(Error(v1::REASON_QUOTA_EXCEEDED,
                                        std::format("{} has {} leases, its quota", Printable(whose, 300), bound)),
                                  field),
                        kRetryAfter);
}

}  // namespace

absl::Status LeaseCounts::Take(const v1::LeaseRecord& record, const LeaseBounds& bounds) {
  absl::MutexLock lock(&mu_);
  if (bounds.principal_leases > 0 && CountOf(principals_, record.principal()) >= bounds.principal_leases) {
    return Exceeded("principal_leases", record.principal(), bounds.principal_leases);
  }
  const std::string& tenant = record.claims().tenant();
  if (bounds.tenant_leases > 0 && CountOf(tenants_, tenant) >= bounds.tenant_leases) {
    return Exceeded("tenant_leases", "tenant " + tenant, bounds.tenant_leases);
  }
  AddLocked(record);
  return absl::OkStatus();
}

void LeaseCounts::Add(const v1::LeaseRecord& record) {
  absl::MutexLock lock(&mu_);
  AddLocked(record);
}

void LeaseCounts::AddLocked(const v1::LeaseRecord& record) {
  if (!record.principal().empty()) ++principals_[record.principal()];
  if (!record.claims().tenant().empty()) ++tenants_[record.claims().tenant()];
}

void LeaseCounts::Remove(const v1::LeaseRecord& record) {
  absl::MutexLock lock(&mu_);
  Decrement(principals_, record.principal());
  Decrement(tenants_, record.claims().tenant());
}

}  // namespace leasehold::gateway
