#include "services/gateway/lease/revocations.h"

#include <algorithm>
#include <format>

namespace leasehold::gateway {

bool Matches(const v1::Revocation& revocation, const v1::LeaseClaims& claims) {
  const auto agrees = [](const auto& wanted, const auto& actual) { return wanted.empty() || wanted == actual; };
  const bool any = !revocation.lease_id().empty() || !revocation.tenant().empty() || !revocation.service().empty() ||
                   revocation.holder_hash() != 0;
  // A lease that is named has been issued, whatever the clock of the gateway that is asked says.
  const bool in_time = !revocation.lease_id().empty() || claims.issue_ms() <= revocation.before_ms();
  return any && in_time && agrees(revocation.lease_id(), claims.id()) && agrees(revocation.tenant(), claims.tenant()) &&
         agrees(revocation.service(), claims.service()) &&
         (revocation.holder_hash() == 0 || revocation.holder_hash() == claims.holder_hash());
}

Revocations::Shape Revocations::ShapeOf(const v1::Revocation& revocation) {
  return (revocation.lease_id().empty() ? 0 : kLease) | (revocation.tenant().empty() ? 0 : kTenant) |
         (revocation.service().empty() ? 0 : kService) | (revocation.holder_hash() == 0 ? 0 : kHolder);
}

std::string Revocations::Key(Shape shape, const std::string& lease_id, const std::string& tenant,
                             const std::string& service, uint64_t holder_hash) {
  // '/' is in no tenant id or service name; the lease id, which can hold any byte, has a fixed length.
  return std::format("{}{}/{}/{}", shape & kLease ? lease_id : "", shape & kTenant ? tenant : "",
                     shape & kService ? service : "", shape & kHolder ? holder_hash : 0);
}

bool Revocations::Add(const v1::Revocation& revocation) {
  const Shape shape = ShapeOf(revocation);
  if (shape == 0) return false;
  absl::MutexLock lock(&mu_);
  int64_t& before = before_ms_[shape][Key(shape, revocation.lease_id(), revocation.tenant(), revocation.service(),
                                          revocation.holder_hash())];
  if (before >= revocation.before_ms()) return false;
  before = revocation.before_ms();
  newest_ms_.store(std::max(newest_ms_.load(), before), std::memory_order_release);
  used_shapes_.fetch_or(1u << shape, std::memory_order_release);
  return true;
}

bool Revocations::Covers(const v1::LeaseClaims& claims) const {
  const unsigned used = used_shapes_.load(std::memory_order_acquire);
  if (used == 0) return false;
  absl::ReaderMutexLock lock(&mu_);
  for (Shape shape = 1; shape < kShapes; ++shape) {
    if ((used & 1u << shape) == 0) continue;
    const auto found =
        before_ms_[shape].find(Key(shape, claims.id(), claims.tenant(), claims.service(), claims.holder_hash()));
    if (found == before_ms_[shape].end()) continue;
    if ((shape & kLease) != 0 || claims.issue_ms() <= found->second) return true;
  }
  return false;
}

void Revocations::ForgetBefore(int64_t ms) {
  absl::MutexLock lock(&mu_);
  unsigned used = 0;
  for (Shape shape = 1; shape < kShapes; ++shape) {
    absl::erase_if(before_ms_[shape], [ms](const auto& entry) { return entry.second < ms; });
    if (!before_ms_[shape].empty()) used |= 1u << shape;
  }
  used_shapes_.store(used, std::memory_order_release);
}

}  // namespace leasehold::gateway
