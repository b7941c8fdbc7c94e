#include "services/gateway/api/problems.h"

#include <algorithm>
#include <format>
#include <string>
#include <utility>

namespace leasehold::gateway {
namespace {

void Add(v1::GetStatusResponse& status, std::string subject, std::string message, std::string advice) {
  v1::Problem& problem = *status.add_problems();
  problem.set_subject(std::move(subject));
  problem.set_message(std::move(message));
  problem.set_advice(std::move(advice));
}

std::string AdviceFor(const std::string& component) {
  if (component == "registry") {
    return "see that PostgreSQL at registry.dsn runs and takes changes; until then sessions go on and nothing about "
           "tenants changes";
  }
  if (component == "nats") return "start NATS at nats.url; until then sessions go on and changes wait";
  if (component == "outbox") {
    return "look into the gateway's log and NATS' own: its disk may be full; all goes on by itself once it takes them";
  }
  if (component.starts_with("pool/")) {
    return "leasehold pools: none working is an application that leaves transactions open; else raise max_connections";
  }
  if (component == "leases") return "wait a moment; it needs NATS";
  if (component == "listeners") return "wait for its start, or use another gateway: this one may be shutting down";
  return "look into the gateway's log";
}

bool IsFailing(const v1::Component& component) { return component.state() == v1::COMPONENT_STATE_FAILING; }

void OfGateway(v1::GetStatusResponse& status, bool nats_well) {
  for (const v1::Component& component : status.gateway().components()) {
    if (component.state() == v1::COMPONENT_STATE_OK) continue;
    if (component.name() == "outbox" && !nats_well) continue;  // no wonder
    if (component.state() == v1::COMPONENT_STATE_UNKNOWN && !component.required()) continue;
    Add(status, component.name(), IsFailing(component) ? component.last_error() : "nothing has been heard of it yet",
        AdviceFor(component.name()));
  }
}

void OfRun(v1::GetStatusResponse& status, const std::string& service, const v1::MigrationRun& run) {
  const bool stopped = run.state() == v1::MIGRATION_RUN_STATE_STOPPED;
  if (!stopped && run.state() != v1::MIGRATION_RUN_STATE_FAILED) return;
  Add(status, service, std::format("migration run {} {}: {}", run.id(), stopped ? "stopped" : "failed", run.message()),
      std::format("leasehold migrate show {}, then: leasehold migrate resume {}", run.id(), run.id()));
}

void OfService(v1::GetStatusResponse& status, const v1::ServiceOverview& service, bool nats_well) {
  const std::string& name = service.service();
  if (IsFailing(service.instance())) {
    Add(status, name, std::format("its instance: {}", service.instance().last_error()),
        "start its PostgreSQL, or look into that one's log; other services' leases work");
  }
  if (service.has_provisioner()) {
    OfRun(status, name, service.provisioner().run());
  } else if (nats_well && !IsFailing(service.instance())) {
    Add(status, name, "no provisioner of it answers: nothing is created, removed or migrated there",
        std::format("start leasehold-provisioner --service {}, or look into its log", name));
  }
  if (!service.health().message().empty()) Add(status, name, service.health().message(), service.health().advice());
}

}  // namespace

void FindProblems(v1::GetStatusResponse& status) {
  status.clear_problems();
  const auto& components = status.gateway().components();
  const bool nats_well = std::ranges::none_of(
      components, [](const v1::Component& component) { return component.name() == "nats" && IsFailing(component); });
  OfGateway(status, nats_well);
  for (const v1::ServiceOverview& service : status.services()) OfService(status, service, nats_well);
}

}  // namespace leasehold::gateway
