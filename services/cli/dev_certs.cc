// leasehold dev-certs: certificates for a stack on one's own machine.
#include <iostream>
#include <memory>

#include "common/status/error.h"
#include "services/cli/stack/dev_certificates.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {

void AddDevCerts(CLI::App& app, Command& command) {
  auto options = std::make_shared<stack::DevCertificates>(stack::DevCertificates{.folder = "certs"});
  auto more_hosts = std::make_shared<std::vector<std::string>>();
  CLI::App* verb = app.add_subcommand(
      "dev-certs",
      "Make a CA, and certificates of gateway, provisioner, client, postgres and nats; not for production");
  verb->add_option("--out", options->folder, "Where they are written")->type_name("DIR")->capture_default_str();
  verb->add_option("--host", *more_hosts, "What servers are reached by, beside localhost; may be repeated")
      ->type_name("NAME");
  AddDuration(*verb, "--valid", options->valid, "How long they are valid; 720h without it");
  verb->add_flag("--force", options->overwrite, "Make new ones of all, even where some are already");
  verb->callback([options, more_hosts, &command] {
    command.needs_gateway = false;
    command.run = [options, more_hosts, &command]() -> absl::StatusOr<int> {
      options->hosts.insert(options->hosts.end(), more_hosts->begin(), more_hosts->end());
      LH_RETURN_IF_ERROR(stack::MakeDevCertificates(*options));
      std::cout << "made ca";
      for (const char* name : stack::kDevIdentities) std::cout << ", " << name;
      std::cout << " (.crt and .key) in " << command.paths.In(options->folder) << '\n';
      return kDone;
    };
  });
}

}  // namespace leasehold::cli
