#include "services/gateway/session/resolve.h"

#include <memory>
#include <thread>
#include <utility>

namespace leasehold::gateway {

std::optional<absl::StatusOr<Route>> ResolveOn(Loop& loop, LeaseAuthority& authority, const GrantPtr& grant,
                                               const std::optional<TenantId>& tenant, std::weak_ptr<void> asker,
                                               LeaseAuthority::RouteCallback later) {
  struct Question {
    LeaseAuthority::RouteCallback later;
    std::optional<absl::StatusOr<Route>> at_once;
    bool returned = false;  // used on the asking thread only
  };
  const auto question = std::make_shared<Question>(Question{.later = std::move(later), .at_once = {}});
  authority.Resolve(grant, tenant,
                    [question, &loop, asker = std::move(asker),
                     asking = std::this_thread::get_id()](absl::StatusOr<Route> route) mutable {
                      if (asking == std::this_thread::get_id() && !question->returned) {
                        question->at_once = std::move(route);
                        return;
                      }
                      if (asker.expired()) return;
                      loop.Post([question, asker, route = std::move(route)]() mutable {
                        if (!asker.expired()) question->later(std::move(route));
                      });
                    });
  question->returned = true;
  return std::move(question->at_once);
}

}  // namespace leasehold::gateway
