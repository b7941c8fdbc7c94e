// leasehold log queries [on|off] [--service S]
// leasehold log level [LEVEL] [--service S | --gateway-only]
#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/status/error.h"
#include "common/telemetry/level.h"
#include "common/telemetry/log.h"
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

std::string Show(const google::protobuf::RepeatedPtrField<v1::DaemonLog>& logs, const Terminal& terminal) {
  Table table({"LOG OF", "LEVEL"});
  for (const v1::DaemonLog& log : logs) {
    const absl::StatusOr<Level> level = LevelOf(log.level());
    table.AddRow({log.component(), level.ok() ? std::string(NameOf(*level)) : log.trouble()});
  }
  return table.Render(terminal);
}

absl::Status CheckTaken(const google::protobuf::RepeatedPtrField<v1::DaemonLog>& logs) {
  const auto silent = std::ranges::count_if(logs, [](const v1::DaemonLog& log) { return !log.trouble().empty(); });
  if (silent == 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(silent, " of ", logs.size(),
                                             " did not answer; each goes by its configuration when it starts again"));
}

absl::StatusOr<int> ShowLevels(Command& command, const std::string& service) {
  GatewayClient client(command.gateway);
  v1::ListLogLevelsRequest request;
  request.set_service(service);
  const auto response = client.Call(client.logs(), &Service::ListLogLevels, request);
  LH_RETURN_IF_ERROR(response.status());
  std::cout << (command.json ? ToJson(*response) : Show(response->logs(), command.terminal));
  return kDone;
}

absl::StatusOr<int> SetLevels(Command& command, const v1::SetLogLevelRequest& request) {
  GatewayClient client(command.gateway);
  const auto response = client.Call(client.logs(), &Service::SetLogLevel, request);
  LH_RETURN_IF_ERROR(response.status());
  std::cout << (command.json ? ToJson(*response) : Show(response->logs(), command.terminal));
  LH_RETURN_IF_ERROR(CheckTaken(response->logs()));
  return kDone;
}

void AddLevel(CLI::App& group, Command& command) {
  struct Flags {
    std::string level;
    std::string service;
    bool gateway_only = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = group.add_subcommand("level", "Show what is worth a line of each daemon's log; or say so");
  verb->add_option("LEVEL", flags->level,
                   "debug, info, warning or error, until each daemon's next start; left out: only show")
      ->type_name("LEVEL");
  CLI::Option* service = verb->add_option("--service", flags->service, "Only this service's provisioners");
  verb->add_flag("--gateway-only", flags->gateway_only, "Only the gateway that answers")->excludes(service);
  verb->callback([flags, &command] {
    const std::optional<Level> level = ParseLevel(flags->level);
    if (!flags->level.empty() && !level) {
      UsageError(absl::StrCat("LEVEL is '", Printable(flags->level), "'; allowed: debug, info, warning, error"));
    }
    if (flags->gateway_only && !level) UsageError("--gateway-only goes with a LEVEL");
    command.run = [flags, level, &command]() -> absl::StatusOr<int> {
      if (!level) return ShowLevels(command, flags->service);
      v1::SetLogLevelRequest request;
      request.set_service(flags->service);
      request.set_gateway_only(flags->gateway_only);
      request.set_level(ToProto(*level));
      return SetLevels(command, request);
    };
  });
}

}  // namespace

void AddLog(CLI::App& app, Command& command) {
  struct Flags {
    std::string state;
    std::string service;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* group = AddGroup(app, "log", "What the daemons write into their logs");
  AddLevel(*group, command);
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
