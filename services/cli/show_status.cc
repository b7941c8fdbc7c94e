// The whole of it as people read it: one screen.
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/config/config.h"
#include "services/cli/relative_time.h"
#include "services/cli/show.h"
#include "services/cli/table.h"

namespace leasehold::cli {
namespace {

Cell StateOf(const v1::Component& component) {
  switch (component.state()) {
    case v1::COMPONENT_STATE_OK:
      return {"ok", Colour::kGreen};
    case v1::COMPONENT_STATE_FAILING:
      return {"failing", Colour::kRed};
    default:
      return {"unknown", Colour::kYellow};
  }
}

std::string LatencyOf(const v1::Component& component) {
  return component.has_latency() ? Took(ToDuration(component.latency())) : "";
}

std::string LastError(const v1::Component& component, const View& view) {
  if (component.last_error().empty()) return "";
  if (component.state() == v1::COMPONENT_STATE_FAILING) return component.last_error();
  return absl::StrCat(Relative(component.last_error_time(), view.now), ": ", component.last_error());
}

std::string Up(const google::protobuf::Timestamp& start, const View& view) {
  return absl::StrCat("up ", ShortDuration(view.now - ToTime(start)));
}

std::string ShowComponents(const v1::GetStatusResponse& status, const View& view) {
  Table table({"COMPONENT", "STATE", "LATENCY", "SINCE", "LAST ERROR"});
  for (const v1::Component& component : status.gateway().components()) {
    table.AddRow({component.name(), StateOf(component), LatencyOf(component),
                  Relative(component.since_time(), view.now), LastError(component, view)});
  }
  for (const v1::ServiceOverview& service : status.services()) {
    const v1::Component& instance = service.instance();
    table.AddRow({instance.name(), StateOf(instance), LatencyOf(instance), Relative(instance.since_time(), view.now),
                  LastError(instance, view)});
  }
  return table.Render(view.terminal);
}

Cell RunOf(const v1::ProvisionerStatus& provisioner) {
  if (!provisioner.has_run()) return "";
  const v1::MigrationRun& run = provisioner.run();
  switch (run.state()) {
    case v1::MIGRATION_RUN_STATE_RUNNING:
      return {absl::StrCat(run.id(), " ", run.done(), "/", run.total()), Colour::kYellow};
    case v1::MIGRATION_RUN_STATE_FAILED:
      return {absl::StrCat(run.id(), " failed"), Colour::kRed};
    case v1::MIGRATION_RUN_STATE_STOPPED:
      return {absl::StrCat(run.id(), " stopped"), Colour::kRed};
    case v1::MIGRATION_RUN_STATE_CANCELLED:
      return absl::StrCat(run.id(), " cancelled");
    default:
      return absl::StrCat(run.id(), " done");
  }
}

Cell SparesOf(const v1::ProvisionerStatus& provisioner) {
  if (provisioner.spares_max() == 0) return "none kept";
  const bool few = provisioner.spares_ready() < provisioner.spares_min();
  return {absl::StrCat(provisioner.spares_ready()), few ? Colour::kYellow : Colour::kPlain};
}

Cell CountOf(const std::map<v1::ServiceState, int64_t>& counts, v1::ServiceState state, Colour colour) {
  const auto found = counts.find(state);
  if (found == counts.end()) return "0";
  return {absl::StrCat(found->second), colour};
}

std::string ShowServices(const v1::GetStatusResponse& status, const View& view) {
  Table table({"SERVICE", "PROVISIONER", "LAST PASS", "READY", "PENDING", "FAILED", "CLOSED", "SPARES", "MIGRATIONS"});
  for (const v1::ServiceOverview& service : status.services()) {
    std::vector<Cell> row = {service.service()};
    const v1::ProvisionerStatus& provisioner = service.provisioner();
    row.push_back(service.has_provisioner() ? Cell(Up(provisioner.start_time(), view), Colour::kGreen)
                                            : Cell("silent", Colour::kRed));
    if (service.has_health()) {
      row.emplace_back(service.health().has_last_pass_time() ? Relative(service.health().last_pass_time(), view.now)
                                                             : "never");
      std::map<v1::ServiceState, int64_t> counts;
      for (const v1::ServiceTenants& tenants : service.tenants()) counts[tenants.state()] = tenants.count();
      row.push_back(CountOf(counts, v1::SERVICE_STATE_READY, Colour::kPlain));
      row.push_back(CountOf(counts, v1::SERVICE_STATE_PENDING, Colour::kYellow));
      row.push_back(CountOf(counts, v1::SERVICE_STATE_FAILED, Colour::kRed));
      row.push_back(CountOf(counts, v1::SERVICE_STATE_CLOSED, Colour::kPlain));
    } else {
      row.insert(row.end(), 5, "");
    }
    row.push_back(service.has_provisioner() ? SparesOf(provisioner) : "");
    row.push_back(service.has_provisioner() ? RunOf(provisioner) : "");
    table.AddRow(std::move(row));
  }
  return table.Render(view.terminal);
}

std::string TenantsLine(const v1::GetStatusResponse& status) {
  const std::string counts =
      absl::StrJoin(status.tenants(), ", ", [](std::string* out, const v1::TenantCount& tenants) {
        absl::StrAppend(out, tenants.count(), " ", Word(tenants.state()));
      });
  return absl::StrCat("tenants     ", counts.empty() ? "none" : counts, "\n");
}

std::string OperationLines(const v1::GetStatusResponse& status, const View& view) {
  std::string lines = absl::StrCat("operations  ", status.operations_running(), " running\n");
  for (const v1::Operation& operation : status.operations()) {
    absl::StrAppend(&lines, "            ", operation.id(), "  ", Word(operation.kind()), "  ", operation.done(), "/",
                    operation.total(), "  ", Relative(operation.create_time(), view.now), "  ", operation.message(),
                    "\n");
  }
  return lines;
}

std::string ShowProblems(const v1::GetStatusResponse& status, const View& view) {
  const Terminal& terminal = view.terminal;
  if (status.problems().empty()) return absl::StrCat("\n", terminal.Paint(Colour::kGreen, "all is well"), "\n");
  std::string lines = "\n";
  for (const v1::Problem& problem : status.problems()) {
    absl::StrAppend(&lines, terminal.Paint(Colour::kRed, absl::StrCat(problem.subject(), ": ", problem.message())),
                    "\n    ", problem.advice(), "\n");
  }
  return lines;
}

}  // namespace

std::string ShowStatus(const v1::GetStatusResponse& status, const View& view) {
  const v1::GatewayStatus& gateway = status.gateway();
  std::string text = absl::StrCat(
      "gateway     ", gateway.name(), "  ",
      gateway.ready() ? view.terminal.Paint(Colour::kGreen, "ready") : view.terminal.Paint(Colour::kRed, "not ready"),
      "  ", gateway.version(), gateway.commit().empty() ? "" : absl::StrCat(" (", gateway.commit(), ")"), "  ",
      Up(gateway.start_time(), view), "  ", gateway.sessions(), gateway.sessions() == 1 ? " session" : " sessions",
      "  ", gateway.leases(), gateway.leases() == 1 ? " lease" : " leases", "\n");
  const bool registry_answers = !status.services().empty() && status.services(0).has_health();
  if (registry_answers) absl::StrAppend(&text, TenantsLine(status), OperationLines(status, view));
  absl::StrAppend(&text, "\n", ShowComponents(status, view), "\n", ShowServices(status, view));
  return text + ShowProblems(status, view);
}

}  // namespace leasehold::cli
