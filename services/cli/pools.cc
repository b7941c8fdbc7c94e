// leasehold pools [SERVICE]
#include <iostream>
#include <memory>

#include "common/status/error.h"
#include "services/cli/gateway_client.h"
#include "services/cli/json.h"
#include "services/cli/show.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {

void AddPools(CLI::App& app, Command& command) {
  auto request = std::make_shared<v1::ListPoolsRequest>();
  CLI::App* verb = app.add_subcommand("pools", "Show the gateway's server connections, by service and tenant");
  verb->add_option("SERVICE", *request->mutable_service(), "Only those to this service's instance");
  verb->callback([request, &command] {
    command.run = [request, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      LH_ASSIGN_OR_RETURN(const v1::ListPoolsResponse response,
                          client.Call(client.pools(), &v1::PoolService::StubInterface::ListPools, *request));
      std::cout << (command.json ? ToJson(response) : ShowPools(response.pools(), command.terminal));
      return kDone;
    };
  });
}

}  // namespace leasehold::cli
