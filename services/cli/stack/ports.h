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
};

inline constexpr int kRegistryPort = 7500;

// LEASEHOLD_PG_<SERVICE>, in capitals, '-' as '_'.
std::string InstanceVariable(const std::string& service);

// `config` comes from LoadConfig: defaults filled in, LEASEHOLD_GATEWAY, _SQL, _HTTP and _NATS applied; here come
// LEASEHOLD_PG_<SERVICE> and LEASEHOLD_PG_REGISTRY (host:port or a DSN). INVALID_FIELD for a host that is not this
// machine and for a port that is used twice.
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
