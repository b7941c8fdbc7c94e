// leasehold-provisioner: makes the instance of one service match the registry.
#include <cstdio>
#include <cstdlib>
#include <format>
#include <iostream>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "common/config/config.h"
#include "common/daemon/daemon.h"
#include "common/daemon/descriptors.h"
#include "common/daemon/exposure.h"
#include "common/daemon/private_memory.h"
#include "common/daemon/readiness.h"
#include "common/identity/identity.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "common/telemetry/log.h"
#include "common/version/version.h"
#include "services/provisioner/provisioner.h"

namespace leasehold {
namespace {

// A step is at most one statement; the longest, a migration's, is rolled back by the exit.
constexpr absl::Duration kStopPatience = absl::Seconds(20);

struct Arguments {
  std::string config;
  std::string service;
  bool check_config = false;
  bool check_health = false;
  bool insecure = false;
};

absl::StatusOr<v1::ServiceConfig> ChooseService(const v1::Config& config, const std::string& flag,
                                                const Environment& environment) {
  const std::string name = flag.empty() ? environment("SERVICE_NAME").value_or("") : flag;
  if (name.empty()) return InvalidField("--service", "", "a service of the configuration; or set SERVICE_NAME");
  LH_ASSIGN_OR_RETURN(const ServiceName service, ServiceName::Parse(name));
  LH_ASSIGN_OR_RETURN(v1::ServiceConfig found, FindService(config, service));
  LH_RETURN_IF_ERROR(ApplyInstanceEnvironment(found, environment));
  return found;
}

absl::Status CheckHttpExposure(const v1::ProvisionerConfig& provisioner, const v1::ServiceConfig& service,
                               bool insecure) {
  const Port port{.field = "services[].http_listen",
                  .address = service.http_listen(),
                  .encrypted = !provisioner.http_certificate_file().empty(),
                  .encrypted_by = "provisioner.http_certificate_file",
                  .authenticated = !provisioner.http_client_ca_file().empty(),
                  .authenticated_by = "provisioner.http_client_ca_file"};
  return CheckExposure({&port, 1}, insecure);
}

absl::Status Run(const Arguments& arguments) {
  KeepMemoryPrivate();
  RaiseDescriptorLimit();
  SignalWaiter signals;
  const Environment environment = ProcessEnvironment();
  LH_ASSIGN_OR_RETURN(const v1::Config config, LoadConfig(arguments.config, environment));
  LH_ASSIGN_OR_RETURN(const v1::ServiceConfig service, ChooseService(config, arguments.service, environment));
  if (arguments.check_health) {
    LH_ASSIGN_OR_RETURN(const HostPort http, ParseHostPort("http_listen", service.http_listen()));
    return CheckReady(http, {.certificate = config.provisioner().http_certificate_file(),
                             .key = config.provisioner().http_key_file()});
  }
  ConfigureLog(std::format("provisioner/{}", service.name()), ParseLevel(config.log().level()).value_or(Level::kInfo),
               ParseLogFormat(config.log().format()).value_or(DefaultLogFormat()));
  LH_RETURN_IF_ERROR(CheckHttpExposure(config.provisioner(), service, arguments.insecure));
  if (arguments.check_config) return provisioner::Provisioner::Check(config, service, environment);

  for (bool again = true; again;) {
    LH_ASSIGN_OR_RETURN(const auto daemon,
                        provisioner::Provisioner::Make(config, service, environment, [&signals] { signals.Wake(); }));
    LH_RETURN_IF_ERROR(daemon->Start());
    Log(Level::kInfo, "started", {{"version", Version()}, {"commit", Commit()}, {"http", service.http_listen()}});
    again = signals.Wait() == 0;
    Log(Level::kInfo, again ? "the key of the roles has changed: starting over with the new one" : "stopping");
    if (!daemon->Stop(kStopPatience)) {
      Log(Level::kWarning, "a step is still running; it is taken up again at the next start");
      std::_Exit(again ? EXIT_FAILURE : EXIT_SUCCESS);  // for whoever keeps daemons running to start it again
    }
  }
  Log(Level::kInfo, "stopped");
  return absl::OkStatus();
}

}  // namespace
}  // namespace leasehold

int main(int argc, char** argv) {
  leasehold::Arguments arguments;
  CLI::App app("Makes the PostgreSQL instance of one service match the registry.", "leasehold-provisioner");
  app.add_option("--config", arguments.config, "The configuration file")->required();
  app.add_option("--service", arguments.service, "The service to serve; default: SERVICE_NAME");
  CLI::Option* check_config =
      app.add_flag("--check-config", arguments.check_config,
                   "Only read the configuration, its secrets and migrations, and say what is wrong");
  app.add_flag("--check-health", arguments.check_health,
               "Only ask the provisioner that runs with this configuration whether it is ready")
      ->excludes(check_config);
  app.add_flag("--insecure", arguments.insecure, "Listen beyond loopback even without TLS or without asking who calls");
  app.set_version_flag("--version", leasehold::VersionLine("leasehold-provisioner"));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const absl::Status status = leasehold::Run(arguments);
  if (status.ok()) return EXIT_SUCCESS;
  std::cerr << "leasehold-provisioner: " << leasehold::StdView(status.message()) << "\n";
  return EXIT_FAILURE;
}
