// Who may do what: the policy file and how a call is held against it. Used by the gateway, which refuses what no rule
// allows, and by `leasehold policy check`, which explains. docs/policy.md has the rules in words.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "leasehold/v1/policy.pb.h"

namespace leasehold {

// Stands for every tenant, or every service, in a call that concerns them all: only a rule's "*" covers it.
inline constexpr std::string_view kAll = "*";

// What somebody wants to do. Empty: the call does not concern it.
struct Ask {
  std::string_view principal;
  std::string_view operation;
  std::string_view service = {};
  std::string_view tenant = {};
  // Of that tenant, if they are known; rules with `tenant_settings` allow nothing without them.
  const std::map<std::string, std::string>* settings = nullptr;
  std::string_view connection = {};
  v1::Access access = v1::ACCESS_UNSPECIFIED;
  std::optional<absl::Duration> ttl = std::nullopt;
  // Globs, as a lease asks for them, or tenants.
  std::span<const std::string* const> switch_to = {};
  bool others_lease = false;
};

// Immutable; any thread.
class Policy {
 public:
  // INVALID_FIELD names the field as a path: "rules[2].tenants[0]". Nothing in the file is a secret.
  static absl::StatusOr<std::shared_ptr<const Policy>> Parse(std::string_view yaml);
  // The same of a file; FAILED_PRECONDITION if it cannot be read.
  static absl::StatusOr<std::shared_ptr<const Policy>> Load(const std::string& path);

  // The first rule that allows it; nullptr if none does.
  const v1::PolicyRule* Allowing(const Ask& ask) const;

  // With what each rule before that one lacks.
  v1::ExplainPolicyResponse Explain(const Ask& ask) const;

  // True if some rule looks at a tenant's settings and would allow this, were they the right ones.
  bool NeedsSettingsFor(Ask ask) const;

  // The first that fits; nullptr if none does.
  const v1::PrincipalQuota* QuotaOf(std::string_view principal) const;
  const v1::TenantQuota* QuotaOfTenant(std::string_view tenant) const;

  const v1::Policy& text() const { return policy_; }

 private:
  explicit Policy(v1::Policy policy);

  const v1::Policy policy_;
  const bool needs_settings_;  // some rule looks at them
};
using PolicyPtr = std::shared_ptr<const Policy>;

// A question as the gate reads the call that it is about: a lease that names no access is read-write, one that names
// neither tenant nor connection, or no service, is held against all; "identity-service" is "identity".
v1::ExplainPolicyRequest AsCalled(v1::ExplainPolicyRequest request);

// True if whatever `asked`, a name or a glob, matches is matched by `glob`, too.
bool Covers(std::string_view glob, std::string_view asked);

}  // namespace leasehold
