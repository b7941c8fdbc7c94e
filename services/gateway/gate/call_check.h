// One call on its way through the gate.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/policy/policy.h"
#include "services/gateway/directory/directory.h"
#include "services/gateway/gate/gate.h"
#include "services/gateway/gate/methods.h"

namespace leasehold::gateway {

// Made for one call, and goes when `done` has run. One thread at a time.
class CallCheck : public std::enable_shared_from_this<CallCheck> {
 public:
  struct Verdict {
    absl::Status decision;       // of the policy
    absl::Status unknown_lease;  // LEASE_NOT_FOUND, for who would be let in
    std::string tenant;          // the first that the call concerns; empty: none
  };
  using Done = std::move_only_function<void(Verdict)>;

  // `principal` and what else is referred to stay until `done` has run.
  CallCheck(Gate& gate, const std::string& principal, google::protobuf::Message& request, PolicyPtr policy,
            const Method& method, Done done)
      : gate_(gate),
        principal_(principal),
        request_(request),
        policy_(std::move(policy)),
        method_(method),
        done_(std::move(done)) {}

  void Run();

 private:
  void ReadRequest();
  void ReadLease();
  void ReadWishes();
  void LookUpDomain();
  // Holds the tenants from number `i` on against the policy.
  void CheckTenants(size_t i);
  void CheckTenant(size_t i, const std::map<std::string, std::string>* settings);
  void Finish(absl::Status decision);

  Ask AskFor(std::string_view tenant) const;
  absl::Status Refused(std::string_view tenant) const;

  Gate& gate_;
  const std::string& principal_;
  google::protobuf::Message& request_;
  const PolicyPtr policy_;
  const Method& method_;
  Done done_;

  std::vector<std::string> tenants_;
  std::string domain_;  // that stands for the first tenant
  std::string service_;
  std::string connection_;
  v1::Access access_ = v1::ACCESS_UNSPECIFIED;
  std::optional<absl::Duration> ttl_;
  std::vector<std::string> switch_to_texts_;
  std::vector<const std::string*> switch_to_;
  bool others_lease_ = false;
  absl::Status unknown_lease_;
  // The shortest of the rules that allow it.
  absl::Duration max_ttl_ = absl::InfiniteDuration();
};

}  // namespace leasehold::gateway
