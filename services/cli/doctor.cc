// leasehold doctor
#include <iostream>
#include <memory>

#include "absl/time/clock.h"
#include "common/status/error.h"
#include "services/cli/gateway_client.h"
#include "services/cli/json.h"
#include "services/cli/show.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {

void AddDoctor(CLI::App& app, Command& command) {
  auto request = std::make_shared<v1::DiagnoseRequest>();
  CLI::App* verb = app.add_subcommand(
      "doctor", "Show what is amiss on the services' instances; exit status 1 if something waits for somebody");
  verb->add_option("--service", *request->mutable_service(), "Only this service");
  verb->add_option("--tenant", *request->mutable_tenant(), "Only this tenant");
  verb->callback([request, &command] {
    command.run = [request, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      LH_ASSIGN_OR_RETURN(const v1::DiagnoseResponse diagnosis,
                          client.Call(client.doctor(), &v1::DoctorService::StubInterface::Diagnose, *request));
      std::cout << (command.json ? ToJson(diagnosis) : ShowDiagnosis(diagnosis, {command.terminal, absl::Now()}));
      return NeedsSomebody(diagnosis) ? kFailed : kDone;
    };
  });
}

}  // namespace leasehold::cli
