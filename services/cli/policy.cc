// leasehold policy check [--as PRINCIPAL] [--file FILE] OPERATION …: what the policy says, and why.
#include <iostream>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/policy/operations.h"
#include "common/policy/policy.h"
#include "common/status/error.h"
#include "services/cli/gateway_client.h"
#include "services/cli/json.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {
namespace {

struct Flags {
  std::string file;
  std::string principal;
  std::string operation;
  std::string service;
  std::string tenant;
  std::string connection;
  std::string access;
  absl::Duration ttl = absl::InfiniteDuration();
  std::vector<std::string> switch_to;
  std::vector<std::pair<std::string, std::string>> settings;
  bool others_lease = false;
};

v1::ExplainPolicyRequest RequestOf(const Flags& flags) {
  v1::ExplainPolicyRequest request;
  request.set_principal(flags.principal);
  request.set_operation(flags.operation);
  request.set_service(flags.service);
  request.set_tenant(flags.tenant);
  request.set_connection(flags.connection);
  if (!flags.access.empty()) {
    request.set_access(flags.access == "read-only" ? v1::ACCESS_READ_ONLY : v1::ACCESS_READ_WRITE);
  }
  if (flags.ttl != absl::InfiniteDuration()) *request.mutable_ttl() = FromDuration(flags.ttl);
  for (const std::string& glob : flags.switch_to) request.add_switch_to(glob);
  request.set_others_lease(flags.others_lease);
  return AsCalled(std::move(request));
}

// By the file alone, as a gateway that has it would answer.
absl::StatusOr<v1::ExplainPolicyResponse> Offline(const Flags& flags, const v1::ExplainPolicyRequest& request) {
  absl::StatusOr<PolicyPtr> policy = Policy::Load(flags.file);
  if (!policy.ok()) {
    const std::string why(policy.status().message());
    return absl::FailedPreconditionError(why.contains(flags.file) ? why : absl::StrCat(flags.file, ": ", why));
  }
  const std::map<std::string, std::string> settings(flags.settings.begin(), flags.settings.end());
  std::vector<const std::string*> switch_to;
  for (const std::string& glob : request.switch_to()) switch_to.push_back(&glob);
  Ask ask{.principal = request.principal(),
          .operation = request.operation(),
          .service = request.service(),
          .tenant = request.tenant(),
          .settings = flags.settings.empty() ? nullptr : &settings,
          .connection = request.connection(),
          .access = request.access(),
          .switch_to = switch_to,
          .others_lease = request.others_lease()};
  if (request.has_ttl()) ask.ttl = flags.ttl;
  return (*policy)->Explain(ask);
}

std::string Show(const v1::ExplainPolicyResponse& answer) {
  if (answer.open())
    return absl::StrCat("allowed: the gateway has no policy, so ", answer.principal(), " may do all\n");
  std::string text;
  for (const v1::PolicyRuleVerdict& verdict : answer.rules()) {
    absl::StrAppend(&text, "  ", verdict.rule(), ": ",
                    verdict.why_not().empty() ? "allows it" : absl::StrCat("does not, ", verdict.why_not()), "\n");
  }
  if (answer.allowed()) return absl::StrCat("allowed by the rule ", answer.rule(), "\n", text);
  return absl::StrCat("refused: no rule allows it\n", text);
}

absl::StatusOr<int> Check(const Flags& flags, const Command& command) {
  const v1::ExplainPolicyRequest request = RequestOf(flags);
  absl::StatusOr<v1::ExplainPolicyResponse> answer;
  if (flags.file.empty()) {
    GatewayClient client(command.gateway);
    answer = client.Call(client.policy(), &v1::PolicyService::StubInterface::ExplainPolicy, request);
  } else {
    answer = Offline(flags, request);
  }
  LH_RETURN_IF_ERROR(answer.status());
  std::cout << (command.json ? ToJson(*answer) : Show(*answer));
  return answer->allowed() ? kDone : kFailed;
}

}  // namespace

void AddPolicy(CLI::App& app, Command& command) {
  auto flags = std::make_shared<Flags>();
  CLI::App* group = AddGroup(app, "policy", "Who may do what, and why");
  CLI::App* verb = group->add_subcommand(
      "check",
      "Say whether something is allowed, and what each rule lacks; nothing is done. Exit status 1 if it is not");
  verb->add_option("OPERATION", flags->operation, "Such as lease.acquire; docs/policy.md lists them")->required();
  verb->add_option("--as", flags->principal, "Whose call it would be; left out: yours")->type_name("PRINCIPAL");
  verb->add_option("--file", flags->file, "By this policy file rather than a gateway's; needs --as");
  verb->add_option("--service", flags->service, "The service that it is about");
  verb->add_option("--tenant", flags->tenant, "The tenant that it is about; '*' for all");
  verb->add_option("--connection", flags->connection, "The named connection that it is about");
  verb->add_option("--access", flags->access, "Of the lease")->type_name("read-only|read-write");
  AddDuration(*verb, "--ttl", flags->ttl, "Of the lease");
  verb->add_option("--switch-to", flags->switch_to, "What the lease may switch to; may be repeated")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  AddSettings(*verb, "--setting", flags->settings, "With --file: what the tenant has; may be repeated");
  verb->add_flag("--others-lease", flags->others_lease, "It is about a lease that another principal acquired");
  verb->callback([flags, &command] {
    if (!IsOperation(flags->operation)) {
      UsageError(absl::StrCat("OPERATION is '", Printable(flags->operation), "'; allowed: an operation such as ",
                              "lease.acquire (docs/policy.md lists them)"));
    }
    if (!flags->access.empty() && flags->access != "read-only" && flags->access != "read-write") {
      UsageError(absl::StrCat("--access is '", Printable(flags->access), "'; allowed: read-only, read-write"));
    }
    if (!flags->file.empty() && flags->principal.empty())
      UsageError("--file needs --as: nobody is known without a gateway");
    if (flags->file.empty() && !flags->settings.empty()) {
      UsageError("--setting is for --file: a gateway knows its tenants' settings");
    }
    command.needs_gateway = flags->file.empty();
    command.run = [flags, &command] { return Check(*flags, command); };
  });
}

}  // namespace leasehold::cli
