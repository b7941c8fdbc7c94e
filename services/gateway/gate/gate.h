// The one place where calls are let in: who calls, whether the policy allows what is asked, whether a quota is left.
// An interceptor decides when the request is there and before the service hears of it; the gates that make_gates.cc
// writes hold each service back until then.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/server_interceptor.h>

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/policy/policy.h"
#include "common/telemetry/metrics.h"
#include "services/gateway/authn/authenticator.h"
#include "services/gateway/caller/caller.h"
#include "services/gateway/caller/rechecker.h"
#include "services/gateway/directory/directory.h"
#include "services/gateway/gate/rate.h"
#include "services/gateway/lease/book.h"

namespace leasehold::gateway {

// Any thread; nothing blocks.
class Gate : public Rechecker {
 public:
  struct Parts {
    Authenticator& authenticator;
    TenantDirectory& directory;
    const LeaseBook& book;
    const Clock& clock;
    Metrics& metrics;
    absl::Duration default_ttl;  // leases.default_ttl
  };
  // What `parts` refers to outlives it.
  explicit Gate(const Parts& parts);

  // From now on, for calls that come. Without one, everybody may do everything.
  void SetPolicy(PolicyPtr policy);
  PolicyPtr policy() const;

  // Fills `call` and then runs `done`, before it returns if no tenant has to be looked up. A request that leaves
  // something open is completed: the tenant of a domain, and a ttl where the policy allows less than the default one.
  // The decision: OK; NO_CREDENTIALS, BAD_TOKEN, NOT_PERMITTED, QUOTA_EXCEEDED; LEASE_NOT_FOUND; REGISTRY_UNAVAILABLE
  // if a look-up is needed and fails.
  void Check(GatedContext& call, std::string_view method, google::protobuf::Message& request,
             std::function<void()> done);

  // Asks whether the policy of that moment would allow what was let in, and whether the API token that was shown is
  // still good: NOT_PERMITTED, BAD_TOKEN; REGISTRY_UNAVAILABLE if nobody can tell. Other proofs of who calls count for
  // as long as the call lasts.
  Recheck RecheckOf(const grpc::CallbackServerContext& call, std::string_view method,
                    const google::protobuf::Message& request) override;

  // What a principal would be told of the call that `asked` is about; INVALID_FIELD.
  void Explain(const v1::ExplainPolicyRequest& asked, std::string_view caller,
               std::move_only_function<void(absl::StatusOr<v1::ExplainPolicyResponse>)> done);

 private:
  friend class CallCheck;

  // The rest of a decision that the policy has allowed by `rule`.
  absl::Status Admit(GatedContext& call, const Policy& policy, std::string_view tenant);
  void CountRefusal(const absl::Status& why);
  struct Held;
  void CheckAgain(const Held& held, Done done);

  const Parts parts_;
  RateLimiter acquires_;
  mutable absl::Mutex mu_;
  PolicyPtr policy_ ABSL_GUARDED_BY(mu_);
};

// A service behind its gate, as make_gates.cc makes them.
class Gated {
 public:
  virtual ~Gated() = default;
  virtual grpc::Service* service() = 0;
};

// For ServerBuilder::experimental().SetInterceptorCreators; `gate` outlives the server. The server needs
// NewGatedContexts(), and its services have to be behind their gates.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> CheckCallsAt(Gate& gate);

}  // namespace leasehold::gateway
