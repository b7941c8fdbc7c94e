// leasehold instances [SERVICE]
#include <algorithm>
#include <array>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/time/clock.h"
#include "common/status/error.h"
#include "services/cli/gateway_client.h"
#include "services/cli/json.h"
#include "services/cli/show.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {
namespace {

constexpr std::array<std::pair<std::string_view, v1::DatabaseOrder>, 4> kOrders = {{
    {"size", v1::DATABASE_ORDER_SIZE},
    {"connections", v1::DATABASE_ORDER_CONNECTIONS},
    {"transaction", v1::DATABASE_ORDER_TRANSACTION},
    {"name", v1::DATABASE_ORDER_NAME},
}};

}  // namespace

void AddInstances(CLI::App& app, Command& command) {
  auto request = std::make_shared<v1::ListInstancesRequest>();
  CLI::App* verb =
      app.add_subcommand("instances",
                         "Show each instance's databases: size, connections, longest transaction; exit status 1 if one "
                         "could not be looked at");
  verb->add_option("SERVICE", *request->mutable_service(), "Only this service's instance");
  verb->add_option("--tenant", *request->mutable_tenant(), "Only this tenant's databases");
  verb->add_option_function<std::string>(
          "--sort",
          [request](const std::string& word) {
            const auto* const order = std::ranges::find(kOrders, word, [](const auto& each) { return each.first; });
            if (order == kOrders.end()) {
              UsageError("--sort is '" + Printable(word) + "'; allowed: size, connections, transaction, name");
            }
            request->set_order(order->second);
          },
          "What comes first: the largest, the most connections, the longest transaction; or by name")
      ->type_name("size|connections|transaction|name")
      ->default_str("size");
  auto limit = std::make_shared<int>(0);
  AddCount(*verb, "--limit", *limit, "Databases of each instance, 1 to 10000")->default_str("20");
  verb->callback([request, limit, &command] {
    command.run = [request, limit, &command]() -> absl::StatusOr<int> {
      request->set_limit(*limit);
      GatewayClient client(command.gateway);
      LH_ASSIGN_OR_RETURN(
          const v1::ListInstancesResponse response,
          client.Call(client.instances(), &v1::InstanceService::StubInterface::ListInstances, *request));
      std::cout << (command.json ? ToJson(response)
                                 : ShowInstances(response.instances(), {command.terminal, absl::Now()}));
      const bool looked =
          std::ranges::all_of(response.instances(), [](const auto& instance) { return instance.trouble().empty(); });
      return looked ? kDone : kFailed;
    };
  });
}

}  // namespace leasehold::cli
