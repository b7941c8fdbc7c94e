#include "services/cli/stack/ports.h"

#include <netdb.h>
#include <postgresql/libpq-fe.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/status/error.h"

namespace leasehold::stack {
namespace {

constexpr char kLoopback[] = "127.0.0.1";
constexpr char kThisMachine[] = "127.0.0.1, since the stack runs its own servers";

bool IsLoopback(const std::string& host) { return host == kLoopback || host == "localhost" || host == "::1"; }

absl::StatusOr<int> LocalPort(const std::string& field, const HostPort& address) {
  if (!IsLoopback(address.host)) return InvalidField(field, address.host, kThisMachine);
  return address.port;
}

// "127.0.0.1:7501", or any form of connection string that libpq knows.
absl::StatusOr<HostPort> ParseInstanceAddress(const std::string& field, const std::string& text) {
  if (!absl::StrContains(text, "://") && !absl::StrContains(text, "=")) return ParseHostPort(field, text);
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconninfoParse(text.c_str(), nullptr),
                                                                             &PQconninfoFree);
  // Never the value: it may hold a password.
  if (options == nullptr) return InvalidField(field, "…", "host:port or a PostgreSQL connection string");
  HostPort address{.host = kLoopback, .port = 5432};
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    if (std::string_view(option->keyword) == "host") address.host = option->val;
    if (std::string_view(option->keyword) == "port" && !absl::SimpleAtoi(option->val, &address.port)) {
      return InvalidField(field, option->val, "a port: 1 to 65535");
    }
  }
  return address;
}

std::map<std::string, std::string> FindSharers(const v1::Config& config) {
  std::map<std::string, std::string> sharers;
  std::map<std::pair<std::string, int>, std::string> servers;
  for (const v1::ServiceConfig& service : config.services()) {
    const std::pair address(service.instance().host(), service.instance().port());
    const auto [server, is_new] = servers.emplace(address, service.name());
    if (!is_new) sharers.emplace(service.name(), server->second);
  }
  return sharers;
}

absl::StatusOr<Ports> FixedPorts(const v1::Config& config, const Environment& env) {
  Ports ports;
  ports.sharers = FindSharers(config);
  LH_ASSIGN_OR_RETURN(ports.grpc, ParseHostPort("gateway.grpc_listen", config.gateway().grpc_listen()));
  LH_ASSIGN_OR_RETURN(ports.sql, ParseHostPort("gateway.sql_listen", config.gateway().sql_listen()));
  LH_ASSIGN_OR_RETURN(ports.http, ParseHostPort("gateway.http_listen", config.gateway().http_listen()));

  std::string_view url = config.nats().url();
  if (url.starts_with("nats://")) url.remove_prefix(7);
  LH_ASSIGN_OR_RETURN(const HostPort nats, ParseHostPort("nats.url", url));
  LH_ASSIGN_OR_RETURN(ports.nats, LocalPort("nats.url", nats));

  HostPort registry{.host = kLoopback, .port = kRegistryPort};
  if (const auto text = env("LEASEHOLD_PG_REGISTRY")) {
    LH_ASSIGN_OR_RETURN(registry, ParseInstanceAddress("LEASEHOLD_PG_REGISTRY", *text));
  }
  LH_ASSIGN_OR_RETURN(ports.registry, LocalPort("LEASEHOLD_PG_REGISTRY", registry));

  for (int i = 0; i < config.services_size(); ++i) {
    const v1::ServiceConfig& service = config.services(i);
    const std::string field = absl::StrCat("services[", i, "]");
    const std::string variable = InstanceVariable(service.name());
    HostPort instance{.host = service.instance().host(), .port = service.instance().port()};
    std::string instance_field = absl::StrCat(field, ".instance.host");
    const std::string& server = ServerOf(ports, service.name());
    if (server != service.name()) instance = {.host = kLoopback, .port = ports.instances.at(server)};
    if (const auto text = env(variable.c_str())) {
      LH_ASSIGN_OR_RETURN(instance, ParseInstanceAddress(variable, *text));
      instance_field = variable;
    }
    LH_ASSIGN_OR_RETURN(ports.instances[service.name()], LocalPort(instance_field, instance));
    if (const int shared = ports.instances.at(server); instance.port != shared) {
      return InvalidField(variable, ToText(instance),
                          absl::StrCat(kLoopback, ":", shared, ", as the service shares the instance of ", server));
    }
    LH_ASSIGN_OR_RETURN(ports.provisioners[service.name()],
                        ParseHostPort(absl::StrCat(field, ".http_listen"), service.http_listen()));
  }
  return ports;
}

Ports AutoPorts(const v1::Config& config, const std::function<int()>& free_port) {
  const auto free_address = [&] { return HostPort{.host = kLoopback, .port = free_port()}; };
  Ports ports{.grpc = free_address(),
              .sql = free_address(),
              .http = free_address(),
              .nats = free_port(),
              .registry = free_port(),
              .instances = {},
              .provisioners = {},
              .sharers = FindSharers(config)};
  for (const auto& service : config.services()) {
    const std::string& server = ServerOf(ports, service.name());
    ports.instances[service.name()] = server == service.name() ? free_port() : ports.instances.at(server);
    ports.provisioners[service.name()] = free_address();
  }
  return ports;
}

absl::Status CheckDistinct(const Ports& ports) {
  std::map<int, std::string> taken;
  for (const PlannedPort& planned : ListPorts(ports)) {
    const auto [before, is_new] = taken.emplace(planned.address.port, planned.component);
    if (!is_new) {
      return Error(v1::REASON_INVALID_FIELD,
                   absl::StrCat("port ", planned.address.port, " is meant for both ", before->second, " and ",
                                planned.component, "; choose another with ", planned.remedy));
    }
  }
  return absl::OkStatus();
}

// With SO_REUSEADDR, so that connections of a former run in TIME_WAIT do not count; a listener does.
bool CanListen(const HostPort& address) {
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port = absl::StrCat(address.port);
  // A name that does not resolve is the daemon's to report.
  if (getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found) != 0) return true;
  const absl::Cleanup free_found = [found] { freeaddrinfo(found); };
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const absl::Cleanup close_fd = [fd] { close(fd); };
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  return (bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, 1) == 0) || errno != EADDRINUSE;
}

}  // namespace

const std::string& ServerOf(const Ports& ports, const std::string& service) {
  const auto found = ports.sharers.find(service);
  return found == ports.sharers.end() ? service : found->second;
}

std::string InstanceVariable(const std::string& service) {
  return absl::StrCat("LEASEHOLD_PG_", absl::StrReplaceAll(absl::AsciiStrToUpper(service), {{"-", "_"}}));
}

absl::StatusOr<Ports> PlanPorts(const v1::Config& config, PortMode mode, const Environment& env,
                                const std::function<int()>& free_port) {
  std::map<std::string, std::string> variables = {{InstanceVariable("registry"), "the registry's server"}};
  for (int i = 0; i < config.services_size(); ++i) {
    const std::string& name = config.services(i).name();
    const auto [before, is_new] = variables.emplace(InstanceVariable(name), name);
    if (!is_new) {
      return InvalidField(absl::StrCat("services[", i, "].name"), name,
                          absl::StrCat("a name that does not share ", before->first, " with ", before->second));
    }
  }
  if (mode == PortMode::kAuto) return AutoPorts(config, free_port);
  LH_ASSIGN_OR_RETURN(Ports ports, FixedPorts(config, env));
  LH_RETURN_IF_ERROR(CheckDistinct(ports));
  return ports;
}

std::vector<PlannedPort> ListPorts(const Ports& ports) {
  const auto local = [](int port) { return HostPort{.host = kLoopback, .port = port}; };
  const auto variable = [](const std::string& name) { return absl::StrCat("the variable ", name, "=127.0.0.1:PORT"); };
  std::vector<PlannedPort> list = {
      {"gateway (gRPC)", ports.grpc, variable("LEASEHOLD_GATEWAY")},
      {"gateway (SQL)", ports.sql, variable("LEASEHOLD_SQL")},
      {"gateway (HTTP)", ports.http, variable("LEASEHOLD_HTTP")},
      {"nats", local(ports.nats), "the variable LEASEHOLD_NATS=nats://127.0.0.1:PORT"},
      {"postgres/registry", local(ports.registry), variable("LEASEHOLD_PG_REGISTRY")},
  };
  for (const auto& [service, port] : ports.instances) {
    if (ports.sharers.contains(service)) continue;
    list.push_back({absl::StrCat("postgres/", service), local(port), variable(InstanceVariable(service))});
  }
  for (const auto& [service, address] : ports.provisioners) {
    list.push_back({absl::StrCat("provisioner/", service, " (HTTP)"), address,
                    absl::StrCat("http_listen of service ", service, " in the configuration")});
  }
  return list;
}

absl::Status CheckFree(const Ports& ports) {
  for (const PlannedPort& planned : ListPorts(ports)) {
    if (CanListen(planned.address)) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("port ", planned.address.port, ", meant for ", planned.component,
                     ", is in use by another program; stop that, or choose another with ", planned.remedy,
                     ", or take free ones with --ports auto"));
  }
  return absl::OkStatus();
}

std::string ToText(const HostPort& address) {
  const bool v6 = absl::StrContains(address.host, ":");
  return absl::StrCat(v6 ? "[" : "", address.host, v6 ? "]:" : ":", address.port);
}

std::string Reach(const HostPort& address) {
  const bool wildcard = address.host == "0.0.0.0" || address.host == "::" || address.host == "*";
  return wildcard ? absl::StrCat(kLoopback, ":", address.port) : ToText(address);
}

}  // namespace leasehold::stack
