#include "common/policy/policy.h"

#include <algorithm>
#include <format>
#include <set>
#include <utility>

#include "absl/strings/str_join.h"
#include "common/config/config.h"
#include "common/config/rules.h"
#include "common/config/spelling.h"
#include "common/config/yaml_reader.h"
#include "common/identity/identity.h"
#include "common/policy/operations.h"
#include "common/status/error.h"

namespace leasehold {
namespace {

constexpr std::string_view kAcquire = "lease.acquire";

using Globs = google::protobuf::RepeatedPtrField<std::string>;

// The first thing that a rule lacks, in the order in which they are looked at.
enum class Lack {
  kNothing,
  kPrincipal,
  kOperation,
  kService,
  kTenant,
  kConnection,
  kAccess,
  kTtl,
  kSwitchTo,
  kOthersLease,
};

bool AnyCovers(const Globs& globs, std::string_view asked) {
  return std::ranges::any_of(globs, [&](const std::string& glob) { return Covers(glob, asked); });
}

bool AnyMatches(const Globs& globs, std::string_view text) {
  return std::ranges::any_of(globs, [&](const std::string& glob) { return GlobMatches(glob, text); });
}

bool HasSetting(const v1::PolicyRule& rule, const std::map<std::string, std::string>* settings) {
  if (settings == nullptr) return false;
  return std::ranges::any_of(rule.tenant_settings(), [&](const std::string& wanted) {
    const size_t equals = wanted.find('=');
    const auto found = settings->find(wanted.substr(0, equals));
    return found != settings->end() && GlobMatches(std::string_view(wanted).substr(equals + 1), found->second);
  });
}

// Who may write may read.
bool AllowsAccess(const v1::PolicyRule& rule, v1::Access access) {
  return std::ranges::any_of(rule.access(), [&](const std::string& word) {
    return word == "read-write" || (word == "read-only" && access == v1::ACCESS_READ_ONLY);
  });
}

Lack LackOf(const v1::PolicyRule& rule, const Ask& ask) {
  if (!AnyMatches(rule.principals(), ask.principal)) return Lack::kPrincipal;
  if (!AnyMatches(rule.operations(), ask.operation)) return Lack::kOperation;
  if (!ask.service.empty() && !AnyCovers(rule.services(), ask.service)) return Lack::kService;
  if (!ask.tenant.empty() && !AnyCovers(rule.tenants(), ask.tenant) && !HasSetting(rule, ask.settings)) {
    return Lack::kTenant;
  }
  if (!ask.connection.empty() && !AnyMatches(rule.connections(), ask.connection)) return Lack::kConnection;
  if (ask.access != v1::ACCESS_UNSPECIFIED && !AllowsAccess(rule, ask.access)) return Lack::kAccess;
  if (ask.ttl && rule.has_max_ttl() && *ask.ttl > ToDuration(rule.max_ttl())) return Lack::kTtl;
  for (const std::string* glob : ask.switch_to) {
    if (!AnyCovers(rule.switch_to(), *glob)) return Lack::kSwitchTo;
  }
  if (ask.others_lease && !rule.others_leases()) return Lack::kOthersLease;
  return Lack::kNothing;
}

std::string Listed(const Globs& globs) { return globs.empty() ? "none" : absl::StrJoin(globs, ", "); }

std::string Described(Lack lack, const v1::PolicyRule& rule, const Ask& ask) {
  switch (lack) {
    case Lack::kNothing:
      return "";
    case Lack::kPrincipal:
      return std::format("it is for {}", Listed(rule.principals()));
    case Lack::kOperation:
      return std::format("it allows the operations {}", Listed(rule.operations()));
    case Lack::kService:
      return std::format("it allows the services {}", Listed(rule.services()));
    case Lack::kTenant: {
      std::string text = std::format("it allows the tenants {}", Listed(rule.tenants()));
      if (!rule.tenant_settings().empty()) {
        text += std::format("{} those with {}{}", rule.tenants().empty() ? ", and" : " and",
                            Listed(rule.tenant_settings()), ask.settings == nullptr ? " (settings are not known)" : "");
      }
      return text;
    }
    case Lack::kConnection:
      return std::format("it allows the connections {}", Listed(rule.connections()));
    case Lack::kAccess:
      return std::format("it allows the access {}", Listed(rule.access()));
    case Lack::kTtl:
      return std::format("it allows a ttl of at most {}", absl::FormatDuration(ToDuration(rule.max_ttl())));
    case Lack::kSwitchTo:
      return rule.switch_to().empty() ? "it allows no switching"
                                      : std::format("it allows switching to {}", Listed(rule.switch_to()));
    case Lack::kOthersLease:
      return "it allows only what touches a principal's own leases";
  }
  return "";
}

// What no single field shows.
absl::Status CheckTogether(const v1::Policy& policy) {
  std::set<std::string> names;
  for (int i = 0; i < policy.rules_size(); ++i) {
    const v1::PolicyRule& rule = policy.rules(i);
    const std::string path = std::format("rules[{}]", i);
    if (!names.insert(rule.name()).second) {
      return InvalidField(path + ".name", rule.name(), "a name that no rule before has");
    }
    if (rule.principals().empty()) return InvalidField(path + ".principals", "", "at least one principal or glob");
    if (rule.operations().empty()) return InvalidField(path + ".operations", "", "at least one operation or glob");
    for (int j = 0; j < rule.operations_size(); ++j) {
      const std::string& glob = rule.operations(j);
      const auto is_matched = [&](std::string_view operation) { return GlobMatches(glob, operation); };
      if (std::ranges::any_of(Operations(), is_matched)) continue;
      const std::vector<std::string> known(Operations().begin(), Operations().end());
      const std::string field = std::format("{}.operations[{}]", path, j);
      return WithField(Error(v1::REASON_INVALID_FIELD, std::format("{} is '{}', which is no operation; {}", field,
                                                                   Printable(glob), SpellingHint(glob, known))),
                       field);
    }
  }
  for (int i = 0; i < policy.principal_quotas_size(); ++i) {
    const v1::PrincipalQuota& quota = policy.principal_quotas(i);
    const std::string path = std::format("principal_quotas[{}]", i);
    if (quota.principals().empty()) return InvalidField(path + ".principals", "", "at least one principal or glob");
    if (quota.acquire_burst() > 0 && quota.acquires_per_minute() == 0) {
      return InvalidField(path + ".acquire_burst", std::to_string(quota.acquire_burst()),
                          "0 where acquires_per_minute is not set");
    }
  }
  for (int i = 0; i < policy.tenant_quotas_size(); ++i) {
    if (policy.tenant_quotas(i).tenants().empty()) {
      return InvalidField(std::format("tenant_quotas[{}].tenants", i), "", "at least one tenant or glob");
    }
  }
  return absl::OkStatus();
}

}  // namespace

// A `*` of `asked` is a character like any other to the pattern: only a `*` of `glob` takes it.
bool Covers(std::string_view glob, std::string_view asked) { return GlobMatches(glob, asked); }

v1::ExplainPolicyRequest AsCalled(v1::ExplainPolicyRequest request) {
  if (const auto service = ServiceName::Parse(request.service()); service.ok()) request.set_service(service->str());
  if (request.operation() != kAcquire) return request;
  if (request.access() == v1::ACCESS_UNSPECIFIED) request.set_access(v1::ACCESS_READ_WRITE);
  if (request.service().empty()) request.set_service(std::string(kAll));
  if (request.tenant().empty() && request.connection().empty()) request.set_tenant(std::string(kAll));
  return request;
}

Policy::Policy(v1::Policy policy)
    : policy_(std::move(policy)), needs_settings_(std::ranges::any_of(policy_.rules(), [](const v1::PolicyRule& rule) {
        return !rule.tenant_settings().empty();
      })) {}

absl::StatusOr<PolicyPtr> Policy::Parse(std::string_view yaml) {
  v1::Policy policy;
  LH_RETURN_IF_ERROR(config::ReadYaml(yaml, policy, "policy"));
  LH_RETURN_IF_ERROR(config::Rules().CheckAll(policy));
  LH_RETURN_IF_ERROR(CheckTogether(policy));
  return PolicyPtr(new Policy(std::move(policy)));
}

absl::StatusOr<PolicyPtr> Policy::Load(const std::string& path) {
  LH_ASSIGN_OR_RETURN(const std::string text, ReadTextFile("policy", path));
  return Parse(text);
}

const v1::PolicyRule* Policy::Allowing(const Ask& ask) const {
  const auto rule = std::ranges::find_if(
      policy_.rules(), [&](const v1::PolicyRule& candidate) { return LackOf(candidate, ask) == Lack::kNothing; });
  return rule == policy_.rules().end() ? nullptr : &*rule;
}

bool Policy::NeedsSettingsFor(Ask ask) const {
  ask.tenant = {};
  return needs_settings_ && std::ranges::any_of(policy_.rules(), [&](const v1::PolicyRule& rule) {
           return !rule.tenant_settings().empty() && LackOf(rule, ask) == Lack::kNothing;
         });
}

v1::ExplainPolicyResponse Policy::Explain(const Ask& ask) const {
  v1::ExplainPolicyResponse answer;
  answer.set_principal(std::string(ask.principal));
  for (const v1::PolicyRule& rule : policy_.rules()) {
    const Lack lack = LackOf(rule, ask);
    v1::PolicyRuleVerdict& verdict = *answer.add_rules();
    verdict.set_rule(rule.name());
    verdict.set_why_not(Described(lack, rule, ask));
    if (lack != Lack::kNothing) continue;
    answer.set_allowed(true);
    answer.set_rule(rule.name());
    break;
  }
  return answer;
}

const v1::PrincipalQuota* Policy::QuotaOf(std::string_view principal) const {
  for (const v1::PrincipalQuota& quota : policy_.principal_quotas()) {
    if (AnyMatches(quota.principals(), principal)) return &quota;
  }
  return nullptr;
}

const v1::TenantQuota* Policy::QuotaOfTenant(std::string_view tenant) const {
  for (const v1::TenantQuota& quota : policy_.tenant_quotas()) {
    if (AnyMatches(quota.tenants(), tenant)) return &quota;
  }
  return nullptr;
}

}  // namespace leasehold
