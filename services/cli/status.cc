// leasehold status
#include <iostream>

#include "absl/time/clock.h"
#include "common/status/error.h"
#include "services/cli/gateway_client.h"
#include "services/cli/json.h"
#include "services/cli/show.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {

void AddStatus(CLI::App& app, Command& command) {
  CLI::App* verb =
      app.add_subcommand("status", "Show what is up, what is not, and why; exit status 1 if something is not well");
  verb->callback([&command] {
    command.run = [&command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      LH_ASSIGN_OR_RETURN(const v1::GetStatusResponse status,
                          client.Call(client.status(), &v1::StatusService::StubInterface::GetStatus, {}));
      std::cout << (command.json ? ToJson(status) : ShowStatus(status, {command.terminal, absl::Now()}));
      return status.problems().empty() ? kDone : kFailed;
    };
  });
}

}  // namespace leasehold::cli
