// LeaseAuthority over signed claims, the book and the tenant directory.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/secret/key_ring.h"
#include "common/secret/secret.h"
#include "services/gateway/directory/directory.h"
#include "services/gateway/lease/authority.h"
#include "services/gateway/lease/book.h"
#include "services/gateway/lease/services.h"
#include "services/gateway/lease/watchers.h"

namespace leasehold::gateway {

// What is given to the constructor outlives it; it outlives its attachments. Holds no locks of its own: an attachment's
// one lock is its Bell's, under which nothing is called.
class SignedLeaseAuthority : public LeaseAuthority {
 public:
  SignedLeaseAuthority(LeaseKeys keys, const KnownServices& services, LeaseBook& book, LeaseWatchers& watchers,
                       TenantDirectory& directory)
      : keys_(std::move(keys)), services_(services), book_(book), watchers_(watchers), directory_(directory) {}

  absl::StatusOr<GrantPtr> Authenticate(std::string_view user_name) override;
  void Resolve(const GrantPtr& grant, const std::optional<TenantId>& tenant, RouteCallback done) override;
  std::unique_ptr<Attachment> Attach(const GrantPtr& grant, const std::optional<TenantId>& tenant,
                                     std::function<void(absl::Status)> on_end) override;
  absl::Time ExpiryOf(const GrantPtr& grant) override;

  // Sessions that were one more than their lease may have.
  int64_t sessions_refused() const { return sessions_refused_.load(std::memory_order_relaxed); }

 private:
  const LeaseKeys keys_;
  const KnownServices& services_;
  LeaseBook& book_;
  LeaseWatchers& watchers_;
  TenantDirectory& directory_;
  std::atomic<int64_t> sessions_refused_ = 0;
};

}  // namespace leasehold::gateway
