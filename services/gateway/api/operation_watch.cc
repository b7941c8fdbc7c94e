#include "services/gateway/api/operation_watch.h"

#include <utility>

#include "common/status/error.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {

grpc::ServerWriteReactor<v1::Operation>* OperationWatch::Start(Registry& registry,
                                                               const v1::GetOperationRequest& request) {
  auto feed = Feed<v1::Operation>::Start();
  absl::StatusOr<OperationId> id = OperationId::Parse(request.id());
  if (!id.ok()) {
    feed->Close(id.status());
    return feed->reactor();
  }
  const std::shared_ptr<OperationWatch> watch(new OperationWatch(registry, *std::move(id), feed));
  feed->OnOver([watch] { watch->following_.reset(); });
  const std::weak_ptr<OperationWatch> weak = watch;
  watch->following_ =
      registry.directory().Follow(watch->id_.tenant, [weak](const absl::StatusOr<TenantViewPtr>& /*changed*/) {
        if (const auto self = weak.lock()) self->Look();
      });
  watch->Look();
  return feed->reactor();
}

void OperationWatch::Look() {
  {
    absl::MutexLock lock(&mu_);
    again_ = true;
    if (loading_) return;
    loading_ = true;
  }
  if (!registry_.executor().Submit([self = shared_from_this()] { self->Load(); })) {
    feed_->Close(Error(v1::REASON_SHUTTING_DOWN, "the gateway is overloaded or shutting down"));
  }
}

void OperationWatch::Load() {
  while (true) {
    {
      absl::MutexLock lock(&mu_);
      if (!again_) {
        loading_ = false;
        return;
      }
      again_ = false;
    }
    const absl::StatusOr<v1::Operation> operation = registry_.store().GetOperation(id_.tenant, id_.generation);
    if (!operation.ok()) {
      feed_->Close(operation.status());
      continue;
    }
    std::string bytes = operation->SerializeAsString();
    if (bytes == sent_) continue;
    sent_ = std::move(bytes);
    feed_->Send(*operation);
    if (operation->state() != v1::OPERATION_STATE_RUNNING) feed_->Close(absl::OkStatus());
  }
}

}  // namespace leasehold::gateway
