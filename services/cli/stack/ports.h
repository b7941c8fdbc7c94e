// Which port each part of a local stack listens on.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/config.h"

namespace leasehold::stack {

enum class PortMode {
  kFixed,  // those of the configuration, each overridable by its variable
  kAuto,   // free ones on 127.0.0.1; configuration and variables do not count
};

// All on this machine. Instances, NATS and the registry's server listen on 127.0.0.1 only.
struct Ports {
  HostPort grpc;
  HostPort sql;
  HostPort http;
  int nats = 0;
  int registry = 0;                              // the registry's own PostgreSQL
  std::map<std::string, int> instances;          // by service
  std::map<std::string, HostPort> provisioners;  // their HTTP, by service
  // Services without a server of their own, by the configuration: each with the one whose server it shares.
  std::map<std::string, std::string> sharers{};
};

// The service whose name the server of `service` bears: its own, or the one whose server it shares.
const std::string& ServerOf(const Ports& ports, const std::string& service);

inline constexpr int kRegistryPort = 7500;

// LEASEHOLD_PG_<SERVICE>, in capitals, '-' as '_'.
std::string InstanceVariable(const std::string& service);

// `config` comes from LoadConfig: defaults filled in, LEASEHOLD_GATEWAY, _SQL, _HTTP and _NATS applied; here come
// LEASEHOLD_PG_<SERVICE> and LEASEHOLD_PG_REGISTRY (host:port or a DSN). Services that the configuration puts on one
// address share a server, wherever that is moved to. INVALID_FIELD for a host that is not this machine, for a port that
// is used twice, and for services that share a server and are moved apart.
absl::StatusOr<Ports> PlanPorts(const v1::Config& config, PortMode mode, const Environment& env,
                                const std::function<int()>& free_port);

// One line of the plan.
struct PlannedPort {
  std::string component;  // "gateway (SQL)", "postgres/identity"
  HostPort address;
  std::string remedy;  // how to choose another: a variable or a field of the configuration
};
std::vector<PlannedPort> ListPorts(const Ports& ports);

// FAILED_PRECONDITION for the first port that another program holds: which, for what, and how to choose another.
absl::Status CheckFree(const Ports& ports);

// host:port, IPv6 in brackets.
std::string ToText(const HostPort& address);
// How to reach what listens there: 127.0.0.1 in place of a wildcard.
std::string Reach(const HostPort& address);

}  // namespace leasehold::stack
