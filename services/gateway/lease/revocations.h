// The revocations in force, looked up by the claims of a lease. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "leasehold/v1/lease.pb.h"

namespace leasehold::gateway {

// True if all conditions that `revocation` states hold for `claims`. One without any condition matches nothing.
bool Matches(const v1::Revocation& revocation, const v1::LeaseClaims& claims);

class Revocations {
 public:
  // False if one that covers the same leases was there already.
  bool Add(const v1::Revocation& revocation);

  // A handful of hash look-ups however many there are; nearly nothing when there are none.
  bool Covers(const v1::LeaseClaims& claims) const;

  // The newest `before_ms` ever added: leases issued later are untouched by all of them.
  int64_t newest_ms() const { return newest_ms_.load(std::memory_order_acquire); }

  // Drops those of before `ms`.
  void ForgetBefore(int64_t ms);

 private:
  // Which conditions are stated. Together they are one key, so that of two revocations with the same conditions only
  // the later one is kept.
  using Shape = unsigned;
  static constexpr Shape kLease = 1, kTenant = 2, kService = 4, kHolder = 8, kShapes = 16;

  static Shape ShapeOf(const v1::Revocation& revocation);
  static std::string Key(Shape shape, const std::string& lease_id, const std::string& tenant,
                         const std::string& service, uint64_t holder_hash);

  std::atomic<int64_t> newest_ms_ = 0;
  std::atomic<unsigned> used_shapes_ = 0;  // a bit each; so that Covers asks for those in use only
  mutable absl::Mutex mu_;
  std::array<absl::flat_hash_map<std::string, int64_t>, kShapes> before_ms_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leasehold::gateway
