// leasehold psql TENANT SERVICE [-- ARGS]: psql on a lease that goes when psql does.
#include <unistd.h>

#include <memory>

#include "common/status/error.h"
#include "services/cli/acquire_flags.h"
#include "services/cli/foreground.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {

void AddPsql(CLI::App& app, Command& command) {
  auto flags = std::make_shared<AcquireFlags>();
  CLI::App* verb = app.add_subcommand("psql", "psql on a lease that ends with it; its arguments go behind '--'");
  flags->AddTo(*verb, AcquireFlags::Life::kHeld);
  verb->callback([flags, &command] {
    flags->Check();
    command.takes_tail = true;
    command.run = [flags, &command]() -> absl::StatusOr<int> {
      SignalFd signals;
      GatewayClient client(command.gateway);
      LH_ASSIGN_OR_RETURN(const auto held, HeldLease::Acquire(client, flags->Request(ThisUser()), signals.fd()));
      std::vector<std::string> argv = {"psql"};
      argv.insert(argv.end(), command.tail.begin(), command.tail.end());
      return RunForeground(argv, ChildEnvironment(environ, LibpqVariables(held->credentials(), command.ca)), signals,
                           *held);
    };
  });
}

}  // namespace leasehold::cli
