#include "common/policy/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/config/config.h"
#include "common/policy/operations.h"
#include "common/status/error.h"

namespace leasehold {
namespace {

using ::testing::HasSubstr;

constexpr char kText[] = R"(
rules:
  - name: middleware
    principals: ["spiffe://example.org/ns/*/sa/employee", "token:employee-dev"]
    operations: [lease.*]
    services: [employee]
    tenants: ["acme*", globex]
    access: [read-write]
    connections: [central]
    switch_to: ["acme*"]
    max_ttl: 1h
  - name: reports
    principals: ["jwt:https://id.example.org/reports"]
    operations: [lease.acquire]
    services: ["*"]
    tenant_settings: [tier=gold, region=eu-*]
    access: [read-only]
  - name: operators
    principals: ["dns:*.ops.example.org"]
    operations: ["*"]
    services: ["*"]
    tenants: ["*"]
    others_leases: true
principal_quotas:
  - principals: ["token:*"]
    max_leases: 5
    acquires_per_minute: 60
  - principals: ["*"]
    max_sessions_per_lease: 20
tenant_quotas:
  - tenants: [acme]
    max_leases: 7
)";

class PolicyTest : public testing::Test {
 protected:
  // The rule that allows it, or "-".
  std::string Rule(const Ask& ask) const {
    const v1::PolicyRule* rule = policy_->Allowing(ask);
    const v1::ExplainPolicyResponse explained = policy_->Explain(ask);
    EXPECT_EQ(explained.allowed(), rule != nullptr);
    EXPECT_EQ(explained.rule(), rule == nullptr ? "" : rule->name());
    return rule == nullptr ? "-" : rule->name();
  }
  static Ask Lease(std::string_view tenant) {
    return {.principal = "token:employee-dev",
            .operation = "lease.acquire",
            .service = "employee",
            .tenant = tenant,
            .access = v1::ACCESS_READ_WRITE};
  }

  const PolicyPtr policy_ = *Policy::Parse(kText);
};

TEST_F(PolicyTest, AllowsWhatOneRuleCoversWhole) {
  EXPECT_EQ(Rule(Lease("acme")), "middleware");
  EXPECT_EQ(Rule(Lease("acme-eu")), "middleware");
  EXPECT_EQ(Rule(Lease("initech")), "-");
  EXPECT_EQ(Rule(Lease("globex2")), "-");
  Ask ask = Lease("acme");
  ask.principal = "spiffe://example.org/ns/prod/sa/employee";
  EXPECT_EQ(Rule(ask), "middleware");
  for (const char* stranger : {"spiffe://example.org/ns/prod/sa/employee2", "spiffe://example.com/ns/x/sa/employee",
                               "anonymous", "", "token:employee-dev ", "TOKEN:employee-dev"}) {
    ask.principal = stranger;
    EXPECT_EQ(Rule(ask), "-") << stranger;
  }
  ask = Lease("acme");
  ask.service = "core";
  EXPECT_EQ(Rule(ask), "-");
  ask = Lease("acme");
  ask.operation = "tenant.delete";
  EXPECT_EQ(Rule(ask), "-");
}

TEST_F(PolicyTest, ReadWriteIncludesReadOnlyAndNotTheOtherWayRound) {
  Ask ask = Lease("acme");
  ask.access = v1::ACCESS_READ_ONLY;
  EXPECT_EQ(Rule(ask), "middleware");
  const std::map<std::string, std::string> gold = {{"tier", "gold"}};
  ask = {.principal = "jwt:https://id.example.org/reports",
         .operation = "lease.acquire",
         .service = "core",
         .tenant = "initech",
         .settings = &gold,
         .access = v1::ACCESS_READ_ONLY};
  EXPECT_EQ(Rule(ask), "reports");
  ask.access = v1::ACCESS_READ_WRITE;
  EXPECT_EQ(Rule(ask), "-");
}

TEST_F(PolicyTest, TenantsByTheirSettings) {
  std::map<std::string, std::string> settings = {{"tier", "gold"}};
  Ask ask = {.principal = "jwt:https://id.example.org/reports",
             .operation = "lease.acquire",
             .service = "core",
             .tenant = "initech",
             .settings = &settings,
             .access = v1::ACCESS_READ_ONLY};
  EXPECT_TRUE(policy_->NeedsSettingsFor(ask));
  EXPECT_EQ(Rule(ask), "reports");
  settings = {{"region", "eu-west"}};
  EXPECT_EQ(Rule(ask), "reports");
  settings = {{"tier", "golden"}, {"region", "us"}};
  EXPECT_EQ(Rule(ask), "-");
  settings = {{"gold", "tier"}};
  EXPECT_EQ(Rule(ask), "-");
  ask.settings = nullptr;
  EXPECT_EQ(Rule(ask), "-") << "what is not known is not allowed";
  EXPECT_THAT(policy_->Explain(ask).rules(1).why_not(), HasSubstr("settings are not known"));
  ask.access = v1::ACCESS_READ_WRITE;
  EXPECT_FALSE(policy_->NeedsSettingsFor(ask)) << "no settings would make it allowed";
}

TEST_F(PolicyTest, WhatConcernsAllNeedsAStar) {
  Ask ask = Lease(kAll);
  ask.operation = "lease.list";
  ask.access = v1::ACCESS_UNSPECIFIED;
  EXPECT_EQ(Rule(ask), "-");
  ask.principal = "dns:laptop.ops.example.org";
  EXPECT_EQ(Rule(ask), "operators");
}

TEST_F(PolicyTest, SwitchingIsBoundedGlobByGlob) {
  const auto may = [&](std::vector<std::string> globs) {
    std::vector<const std::string*> asked;
    for (const std::string& glob : globs) asked.push_back(&glob);
    Ask ask = Lease("acme");
    ask.switch_to = asked;
    return Rule(ask) == "middleware";
  };
  EXPECT_TRUE(may({}));
  EXPECT_TRUE(may({"acme"}));
  EXPECT_TRUE(may({"acme*", "acme-*", "acme-*-test", "acme*eu"}));
  EXPECT_FALSE(may({"*"}));
  EXPECT_FALSE(may({"acm*"}));
  EXPECT_FALSE(may({"*acme"}));
  EXPECT_FALSE(may({"acme", "globex"})) << "a tenant that the rule allows is not one to switch to";
}

TEST_F(PolicyTest, BoundsTtlConnectionsAndOthersLeases) {
  Ask ask = Lease("acme");
  ask.ttl = absl::Hours(1);
  EXPECT_EQ(Rule(ask), "middleware");
  ask.ttl = absl::Hours(1) + absl::Nanoseconds(1);
  EXPECT_EQ(Rule(ask), "-");

  ask = Lease("");
  ask.connection = "central";
  EXPECT_EQ(Rule(ask), "middleware");
  ask.connection = "other";
  EXPECT_EQ(Rule(ask), "-");

  ask = Lease("acme");
  ask.operation = "lease.renew";
  ask.others_lease = true;
  EXPECT_EQ(Rule(ask), "-");
  ask.principal = "dns:laptop.ops.example.org";
  ask.access = v1::ACCESS_UNSPECIFIED;
  EXPECT_EQ(Rule(ask), "operators");
}

TEST_F(PolicyTest, ExplainsWhatEachRuleLacks) {
  const v1::ExplainPolicyResponse explained = policy_->Explain(Lease("initech"));
  EXPECT_FALSE(explained.allowed());
  ASSERT_EQ(explained.rules_size(), 3);
  EXPECT_EQ(explained.rules(0).rule(), "middleware");
  EXPECT_EQ(explained.rules(0).why_not(), "it allows the tenants acme*, globex");
  EXPECT_EQ(explained.rules(2).why_not(), "it is for dns:*.ops.example.org");
  EXPECT_EQ(policy_->Explain(Lease("acme")).rules_size(), 1) << "what comes after is not looked at";
}

// By the first rule, of which everything else fits.
TEST_F(PolicyTest, ExplainsEachKindOfRefusal) {
  const auto first = [this](const std::function<void(Ask&)>& change) {
    Ask ask = Lease("acme");
    EXPECT_EQ(Rule(ask), "middleware");
    change(ask);
    EXPECT_NE(Rule(ask), "middleware");
    return policy_->Explain(ask).rules(0).why_not();
  };
  EXPECT_EQ(first([](Ask& ask) { ask.principal = "token:other"; }),
            "it is for spiffe://example.org/ns/*/sa/employee, token:employee-dev");
  EXPECT_EQ(first([](Ask& ask) { ask.operation = "tenant.create"; }), "it allows the operations lease.*");
  EXPECT_EQ(first([](Ask& ask) { ask.service = "core"; }), "it allows the services employee");
  EXPECT_EQ(first([](Ask& ask) { ask.tenant = "initech"; }), "it allows the tenants acme*, globex");
  EXPECT_EQ(first([](Ask& ask) { ask.tenant = kAll; }), "it allows the tenants acme*, globex");
  EXPECT_EQ(first([](Ask& ask) { ask.connection = "reporting"; }), "it allows the connections central");
  EXPECT_EQ(first([](Ask& ask) { ask.ttl = absl::Hours(2); }), "it allows a ttl of at most 1h");
  static const std::string elsewhere = "globex";
  static const std::string* const globs[] = {&elsewhere};
  EXPECT_EQ(first([](Ask& ask) { ask.switch_to = globs; }), "it allows switching to acme*");
  EXPECT_EQ(first([](Ask& ask) { ask.others_lease = true; }), "it allows only what touches a principal's own leases");

  const auto second = [this](Ask ask) { return policy_->Explain(ask).rules(1).why_not(); };
  Ask ask{.principal = "jwt:https://id.example.org/reports",
          .operation = "lease.acquire",
          .service = "core",
          .tenant = "acme",
          .access = v1::ACCESS_READ_ONLY};
  EXPECT_EQ(second(ask), "it allows the tenants none, and those with tier=gold, region=eu-* (settings are not known)");
  const std::map<std::string, std::string> silver = {{"tier", "silver"}}, gold = {{"tier", "gold"}};
  ask.settings = &silver;
  EXPECT_EQ(second(ask), "it allows the tenants none, and those with tier=gold, region=eu-*");
  ask.settings = &gold;
  EXPECT_EQ(second(ask), "");
  ask.access = v1::ACCESS_READ_WRITE;
  EXPECT_EQ(second(ask), "it allows the access read-only");
  ask.access = v1::ACCESS_READ_ONLY;
  ask.connection = "central";
  EXPECT_EQ(second(ask), "it allows the connections none");
  ask.connection = "";
  ask.switch_to = globs;
  EXPECT_EQ(second(ask), "it allows no switching");
}

// What is left out is what the call would mean by it, not something that nobody asks.
TEST_F(PolicyTest, AQuestionIsReadAsTheCallIs) {
  v1::ExplainPolicyRequest request;
  request.set_operation("lease.acquire");
  v1::ExplainPolicyRequest called = AsCalled(request);
  EXPECT_EQ(called.access(), v1::ACCESS_READ_WRITE);
  EXPECT_EQ(called.service(), "*");
  EXPECT_EQ(called.tenant(), "*");
  request.set_service("identity-service");
  request.set_connection("central");
  request.set_access(v1::ACCESS_READ_ONLY);
  called = AsCalled(request);
  EXPECT_EQ(called.access(), v1::ACCESS_READ_ONLY);
  EXPECT_EQ(called.service(), "identity");
  EXPECT_EQ(called.tenant(), "") << "a named connection belongs to no tenant";
  request.set_operation("lease.renew");
  request.clear_access();
  EXPECT_EQ(AsCalled(request).access(), v1::ACCESS_UNSPECIFIED);
}

TEST_F(PolicyTest, QuotasAreThoseOfTheFirstThatFits) {
  ASSERT_NE(policy_->QuotaOf("token:x"), nullptr);
  EXPECT_EQ(policy_->QuotaOf("token:x")->max_leases(), 5);
  EXPECT_EQ(policy_->QuotaOf("dns:x")->max_sessions_per_lease(), 20);
  ASSERT_NE(policy_->QuotaOfTenant("acme"), nullptr);
  EXPECT_EQ(policy_->QuotaOfTenant("globex"), nullptr);
}

TEST(Policy, AnEmptyFileAllowsNothing) {
  const PolicyPtr policy = *Policy::Parse("");
  EXPECT_EQ(policy->Allowing({.principal = "anonymous", .operation = "tenant.get", .tenant = "acme"}), nullptr);
}

TEST(Policy, WhatIsWrongIsNamed) {
  struct Case {
    const char* yaml;
    const char* field;
  };
  const std::string head = "rules:\n- name: a\n  principals: [x]\n  operations: [lease.get]\n";
  const std::pair<std::string, std::string> cases[] = {
      {"rules: 3", "rules"},
      {"rule: []", "rule"},
      {"rules:\n- principals: [x]\n  operations: [lease.get]", "rules[0].name"},
      {"rules:\n- name: a\n  operations: [lease.get]", "rules[0].principals"},
      {"rules:\n- name: a\n  principals: [x]", "rules[0].operations"},
      {head + "  tenants: acme", "rules[0].tenants"},
      {head + "  tenants: [[acme]]", "rules[0].tenants[0]"},
      {head + "  tenants: [ok, 'Acme; DROP TABLE']", "rules[0].tenants[1]"},
      {head + "  tenants: ['']", "rules[0].tenants[0]"},
      {head + "  access: [write]", "rules[0].access[0]"},
      {head + "  max_ttl: soon", "rules[0].max_ttl"},
      {head + "  max_ttl: 721h", "rules[0].max_ttl"},
      {head + "  tenant_settings: [gold]", "rules[0].tenant_settings[0]"},
      {head + "- name: a\n  principals: [y]\n  operations: [lease.get]", "rules[1].name"},
      {"rules:\n- name: a\n  principals: [x]\n  operations: [lease.aquire]", "rules[0].operations[0]"},
      {"rules:\n- name: a\n  principals: [x]\n  operations: ['leases.*']", "rules[0].operations[0]"},
      {"principal_quotas:\n- max_leases: 3", "principal_quotas[0].principals"},
      {"principal_quotas:\n- principals: [x]\n  acquire_burst: 3", "principal_quotas[0].acquire_burst"},
      {"principal_quotas:\n- principals: [x]\n  max_leases: -1", "principal_quotas[0].max_leases"},
      {"tenant_quotas:\n- max_leases: 3", "tenant_quotas[0].tenants"},
  };
  for (const auto& [yaml, field] : cases) {
    const absl::Status status = Policy::Parse(yaml).status();
    ASSERT_TRUE(DetailOf(status).has_value()) << yaml << status;
    EXPECT_EQ(DetailOf(status)->field(), field) << yaml << "\n" << status;
  }
  EXPECT_THAT(Policy::Parse("a: b\n c: d").status().message(), HasSubstr("the policy is not YAML: line"));
  EXPECT_THAT(Policy::Parse(cases[14].first).status().message(), HasSubstr("did you mean lease.acquire?"));
}

TEST(Policy, AFileThatIsNotThereIsNamed) {
  EXPECT_THAT(Policy::Load("/nowhere/policy.yaml").status().message(),
              HasSubstr("cannot read the policy file /nowhere/policy.yaml"));
}

}  // namespace
}  // namespace leasehold
