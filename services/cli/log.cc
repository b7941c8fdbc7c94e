// leasehold log queries [on|off] [--service S]
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/status/error.h"
#include "services/cli/gateway_client.h"
#include "services/cli/json.h"
#include "services/cli/table.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {
namespace {

using Service = v1::LogService::StubInterface;

std::string Show(const google::protobuf::RepeatedPtrField<v1::QueryLog>& logs, const Terminal& terminal) {
  Table table({"SERVICE", "QUERY LOG"});
  for (const v1::QueryLog& log : logs) table.AddRow({log.service(), log.enabled() ? "on" : "off"});
  return table.Render(terminal);
}

// ListQueryLogsResponse or SetQueryLogResponse.
template <typename Response>
absl::StatusOr<int> Answer(const Command& command, const absl::StatusOr<Response>& response) {
  LH_RETURN_IF_ERROR(response.status());
  std::cout << (command.json ? ToJson(*response) : Show(response->query_logs(), command.terminal));
  return kDone;
}

}  // namespace

void AddLog(CLI::App& app, Command& command) {
  struct Flags {
    std::string state;
    std::string service;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* group = AddGroup(app, "log", "What the gateway writes into its log");
  CLI::App* verb = group->add_subcommand(
      "queries", "Show whether SQL statements are logged, their text and never their values; or say so");
  verb->add_option("STATE", flags->state, "on or off, until the gateway's next start; left out: only show")
      ->type_name("on|off");
  verb->add_option("--service", flags->service, "Only this service's statements");
  verb->callback([flags, &command] {
    if (!flags->state.empty() && flags->state != "on" && flags->state != "off") {
      UsageError(absl::StrCat("STATE is '", Printable(flags->state), "'; allowed: on, off"));
    }
    command.run = [flags, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      if (flags->state.empty()) {
        v1::ListQueryLogsRequest request;
        request.set_service(flags->service);
        return Answer(command, client.Call(client.logs(), &Service::ListQueryLogs, request));
      }
      v1::SetQueryLogRequest request;
      request.set_service(flags->service);
      request.set_enabled(flags->state == "on");
      return Answer(command, client.Call(client.logs(), &Service::SetQueryLog, request));
    };
  });
}

}  // namespace leasehold::cli
