#include "services/gateway/api/tenant_watch.h"

#include <algorithm>
#include <format>
#include <utility>

#include "common/status/error.h"
#include "services/gateway/api/tenant_request.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {
namespace {

constexpr int kBatch = 100;

}  // namespace

grpc::ServerWriteReactor<v1::WatchTenantsResponse>* TenantWatch::Start(Registry& registry,
                                                                       const v1::WatchTenantsRequest& request) {
  auto feed = Responses::Start();
  std::optional<TenantId> only;
  std::string service;
  const absl::Status checked = [&]() -> absl::Status {
    if (!request.id().empty()) {
      LH_ASSIGN_OR_RETURN(only, CheckId(request.id()));
    }
    if (request.service().empty()) return absl::OkStatus();
    LH_ASSIGN_OR_RETURN(const ServiceName name, ServiceName::Parse(request.service()));
    service = name.str();
    if (std::ranges::binary_search(registry.services(), service)) return absl::OkStatus();
    return Error(v1::REASON_SERVICE_NOT_FOUND, std::format("there is no service {}", service));
  }();
  if (!checked.ok()) {
    feed->Close(checked);
    return feed->reactor();
  }
  const std::shared_ptr<TenantWatch> watch(new TenantWatch(registry, std::move(only), std::move(service), feed));
  const std::weak_ptr<TenantWatch> weak = watch;
  feed->OnOver([watch] { watch->following_.reset(); });
  feed->OnDrained([weak] {
    if (const auto self = weak.lock()) self->Written();
  });
  watch->following_ =
      registry.directory().FollowAll([weak](const TenantId& id, const absl::StatusOr<TenantViewPtr>& /*view*/) {
        if (const auto self = weak.lock()) self->Changed(id);
      });
  watch->Step();
  return feed->reactor();
}

void TenantWatch::Changed(const TenantId& id) {
  if (only_ && *only_ != id) return;
  {
    absl::MutexLock lock(&mu_);
    changed_.insert(id);
  }
  Step();
}

void TenantWatch::Step() {
  {
    absl::MutexLock lock(&mu_);
    if (busy_ || (synced_ && changed_.empty())) return;
    busy_ = true;
  }
  if (!registry_.executor().Submit([self = shared_from_this()] { self->SendNext(); })) {
    feed_->Close(Error(v1::REASON_SHUTTING_DOWN, "the gateway is overloaded or shutting down"));
  }
}

void TenantWatch::Written() {
  {
    absl::MutexLock lock(&mu_);
    busy_ = false;
  }
  Step();
}

void TenantWatch::SendNext() {
  bool synced = false;
  {
    absl::MutexLock lock(&mu_);
    synced = synced_;
  }
  absl::StatusOr<std::vector<v1::WatchTenantsResponse>> batch = synced ? Changes() : Present();
  if (!batch.ok()) {
    feed_->Close(batch.status());
  } else if (batch->empty()) {
    Written();
  } else {
    const bool last = only_ && batch->back().has_removed();
    feed_->SendAll(*std::move(batch));
    if (last) feed_->Close(absl::OkStatus());
  }
}

absl::StatusOr<std::vector<v1::WatchTenantsResponse>> TenantWatch::Present() {
  std::vector<v1::WatchTenantsResponse> batch;
  bool last = true;
  std::vector<v1::Tenant> tenants;
  if (only_) {
    LH_ASSIGN_OR_RETURN(tenants, registry_.store().Read({&*only_, 1}));
    if (tenants.empty()) return Error(v1::REASON_TENANT_NOT_FOUND, std::format("there is no tenant {}", only_->str()));
  } else {
    LH_ASSIGN_OR_RETURN(tenants, registry_.store().List(after_, kBatch, {}));
    last = tenants.size() < kBatch;
    if (!last) after_ = tenants.back().id();
  }
  for (v1::Tenant& tenant : tenants) {
    (void)IsNews(tenant);
    *batch.emplace_back().mutable_tenant() = std::move(tenant);
  }
  if (last) {
    batch.emplace_back().set_synced(true);
    absl::MutexLock lock(&mu_);
    synced_ = true;
  }
  return batch;
}

absl::StatusOr<std::vector<v1::WatchTenantsResponse>> TenantWatch::Changes() {
  std::set<TenantId> ids;
  {
    absl::MutexLock lock(&mu_);
    while (!changed_.empty() && ids.size() < kBatch) ids.insert(changed_.extract(changed_.begin()));
  }
  const std::vector<TenantId> wanted(ids.begin(), ids.end());
  LH_ASSIGN_OR_RETURN(std::vector<v1::Tenant> tenants, registry_.store().Read(wanted));
  std::vector<v1::WatchTenantsResponse> batch;
  for (v1::Tenant& tenant : tenants) {
    std::erase_if(ids, [&tenant](const TenantId& id) { return id.str() == tenant.id(); });
    if (IsNews(tenant)) *batch.emplace_back().mutable_tenant() = std::move(tenant);
  }
  for (const TenantId& id : ids) {
    told_.erase(id.str());
    batch.emplace_back().set_removed(id.str());
  }
  return batch;
}

bool TenantWatch::IsNews(const v1::Tenant& tenant) {
  if (service_.empty()) return true;
  std::string now;
  for (const v1::ServiceStatus& status : tenant.services()) {
    if (status.service() == service_) now = status.SerializeAsString();
  }
  const auto [told, first] = told_.try_emplace(tenant.id(), now);
  if (first) return true;
  return std::exchange(told->second, now) != now;
}

}  // namespace leasehold::gateway
