#include "services/provisioner/reconcile/dependency.h"

#include <utility>

#include "common/status/error.h"
#include "common/telemetry/log.h"

namespace leasehold::provisioner {

Dependency::Dependency(Health& health, std::string component, std::function<void()> on_recovered)
    : health_(health), component_(std::move(component)), on_recovered_(std::move(on_recovered)) {}

void Dependency::Note(const absl::Status& status) {
  {
    const absl::MutexLock lock(&mu_);
    if (last_.has_value() && last_->ok() == status.ok() && ClientText(*last_) == ClientText(status)) return;
    const bool recovered = last_.has_value() && !last_->ok() && status.ok();
    last_ = status;
    health_.Set(component_, status);
    if (!status.ok()) {
      Log(Level::kWarning, "cannot be used; trying again until it can",
          {{"component", component_}, {"error", ClientText(status)}});
    }
    if (!recovered) return;
    Log(Level::kInfo, "can be used again", {{"component", component_}});
  }
  if (on_recovered_) on_recovered_();
}

}  // namespace leasehold::provisioner
